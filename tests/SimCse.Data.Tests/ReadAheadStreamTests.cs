using SimCse.Data;

namespace SimCse.Tests;

public class ReadAheadStreamTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1 << 18)]
    [InlineData((1 << 18) + 1)]
    [InlineData(3 << 18)]
    [InlineData(1_000_003)]
    public void The_bytes_are_those_of_the_source(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        using ReadAheadStream stream = new(new MemoryStream(bytes));
        using MemoryStream read = new();
        stream.CopyTo(read);
        Assert.Equal(bytes, read.ToArray());
        Assert.Equal(0, stream.Read(new byte[8]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 18)]
    [InlineData(300_000)]
    public void A_failure_of_the_source_comes_after_all_bytes_before_it(int good)
    {
        using ReadAheadStream stream = new(new Failing(good));
        byte[] all = new byte[good];
        stream.ReadExactly(all);
        Assert.All(all, b => Assert.Equal(7, b));
        for (int again = 0; again < 2; again++)
        {
            Assert.Equal("damaged", Assert.Throws<InvalidDataException>(() => stream.Read(new byte[1])).Message);
        }
    }

    [Fact]
    public void It_is_closed_with_its_source_at_any_place()
    {
        MemoryStream source = new(new byte[1 << 22]);
        using (ReadAheadStream stream = new(source))
        {
            stream.ReadExactly(new byte[10]);
        }

        Assert.False(source.CanRead);
    }

    private sealed class Failing(int good) : ForwardStream
    {
        private int _given;

        public override int Read(Span<byte> buffer)
        {
            int count = Math.Min(Math.Min(buffer.Length, 1000), good - _given);
            if (count == 0)
            {
                throw new InvalidDataException("damaged");
            }

            _given += count;
            buffer[..count].Fill(7);
            return count;
        }
    }
}

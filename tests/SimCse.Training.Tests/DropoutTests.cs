using System.Runtime.Intrinsics.X86;
using SimCse.Training.Modeling;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

public class DropoutTests
{
    /// <summary>The known answers of the authors' library, Random123 (kat_vectors, philox 4x32 10).</summary>
    [Theory]
    [InlineData(0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Philox_gives_the_known_answers(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint x0, uint x1, uint x2, uint x3) =>
        Assert.Equal((x0, x1, x2, x3), Philox.Words(c0, c1, c2, c3, k0, k1));

    [Fact]
    public void Vectors_of_every_width_give_the_words_of_single_counters()
    {
        uint[] expected = new uint[Philox.BlockWords], actual = new uint[Philox.BlockWords];
        for (uint block = 0; block < 5; block++)
        {
            Philox.BlockScalar(block * 1000, 11, 22, 33 + block, 44, 0xDEADBEEF, expected);
            Philox.Block(block * 1000, 11, 22, 33 + block, 44, 0xDEADBEEF, actual);
            Assert.Equal(expected, actual);
            if (Avx2.IsSupported)
            {
                Array.Clear(actual);
                Philox.Block256(block * 1000, 0, 11, 22, 33 + block, 44, 0xDEADBEEF, actual);
                Philox.Block256(block * 1000, 8, 11, 22, 33 + block, 44, 0xDEADBEEF, actual);
                Assert.Equal(expected, actual);
            }
        }
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(0.1)]
    [InlineData(0.5)]
    public void A_share_p_is_dropped_and_the_rest_scaled_so_that_the_mean_is_one(double p)
    {
        const int Elements = 1_000_003;
        float[] mask = Mask(new DropoutMasks(7, 3, [0]), p, 2, (0, Elements));
        int dropped = mask.Count(m => m == 0);
        double deviation = Math.Sqrt(Elements * p * (1 - p)); // of a binomial count
        Assert.InRange(dropped, (Elements * p) - (5 * deviation), (Elements * p) + (5 * deviation));
        Assert.All(mask.Where(m => m != 0), m => Assert.Equal((float)(1 / (1 - p)), m));
    }

    [Fact]
    public void Masks_of_other_seeds_steps_sites_and_rows_agree_no_more_often_than_chance()
    {
        const int Elements = 400_000;
        const double P = 0.3, Chance = (P * P) + ((1 - P) * (1 - P));
        float[] own = Mask(new DropoutMasks(7, 3, [5]), P, 2, (0, Elements));
        float[][] others =
        [
            Mask(new DropoutMasks(8, 3, [5]), P, 2, (0, Elements)),
            Mask(new DropoutMasks(7L + (1L << 32), 3, [5]), P, 2, (0, Elements)),
            Mask(new DropoutMasks(7, 4, [5]), P, 2, (0, Elements)),
            Mask(new DropoutMasks(7, 3, [5]), P, 3, (0, Elements)),
            Mask(new DropoutMasks(7, 3, [6]), P, 2, (0, Elements)),
        ];
        double deviation = Math.Sqrt(Elements * Chance * (1 - Chance));
        Assert.All(others, other =>
            Assert.InRange(own.Zip(other).Count(pair => (pair.First == 0) == (pair.Second == 0)), (Elements * Chance) - (5 * deviation), (Elements * Chance) + (5 * deviation)));
    }

    [Fact]
    public void A_row_draws_the_same_mask_wherever_it_stands_and_rows_of_one_key_share_theirs()
    {
        DropoutMasks masks = new(1, 0, [10, 20, 10]);
        float[] first = Mask(masks, 0.1, 0, (0, 130), (1, 70), (2, 130)), second = Mask(masks, 0.1, 0, (1, 70), (0, 130));
        Assert.Equal(first[..130], second[70..]);
        Assert.Equal(first[130..200], second[..70]);
        Assert.Equal(first[..130], first[200..]);
    }

    [Fact]
    public void The_gradient_passes_through_the_mask()
    {
        using Tensor x = ones(4, 50).requires_grad_(true);
        DropoutMasks masks = new(1, 0, [0, 1, 2, 3]);
        (int, int)[] rows = [(0, 50), (1, 50), (2, 50), (3, 50)];
        using Tensor y = masks.Apply(x, 0.2, 0, rows);
        y.sum().backward();
        Assert.Equal(y.detach().Floats().ToArray(), x.grad!.Floats().ToArray());
    }

    private static float[] Mask(DropoutMasks masks, double p, int site, params (int Row, int Elements)[] rows)
    {
        using Tensor mask = empty(rows.Sum(r => r.Elements));
        masks.Fill(mask, p, site, rows);
        return mask.Floats().ToArray();
    }
}

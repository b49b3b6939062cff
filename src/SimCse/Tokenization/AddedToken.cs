namespace SimCse.Tokenization;

/// <summary>A token that is looked for in the text before the model sees it, with the flags of Hugging Face's AddedToken.</summary>
/// <param name="Content">Its text.</param>
/// <param name="SingleWord">Found only where no word character touches it.</param>
/// <param name="LeftStrip">Takes the white space before it.</param>
/// <param name="RightStrip">Takes the white space after it.</param>
/// <param name="Normalized">Looked for in the normalised text, itself normalised.</param>
/// <param name="Special">Structure, not text: [CLS], &lt;mask&gt;, …</param>
internal sealed record AddedToken(string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special);

extension PreparedCorpus {
    /// How often each token occurs in a split as encoder and decoder read it: sources with `<2xxx>` and `</s>`, targets with
    /// `<2xxx>`. Counts those of every `step`-th sentence pair from `first` on, so that ranks can share the work.
    public func tokenCounts(
        _ direction: Direction, _ split: Split, from first: Int = 0, by step: Int = 1
    ) throws -> (source: [Int64], target: [Int64]) {
        let (_, languageToken) = try describe(direction)
        var source = [Int64](repeating: 0, count: vocabularySize), target = source
        guard let pair = oriented(direction, split) else { return (source, target) }
        var tokens: [Int32] = []
        for sentence in stride(from: first, to: pair.source.count, by: step) {
            tokens.removeAll(keepingCapacity: true)
            pair.source.append(sentence, to: &tokens)
            for token in tokens { source[Int(token)] += 1 }
            source[Int(languageToken)] += 1
            source[Int(tokenizer.endOfSentence)] += 1
            tokens.removeAll(keepingCapacity: true)
            pair.target.append(sentence, to: &tokens)
            for token in tokens { target[Int(token)] += 1 }
            target[Int(languageToken)] += 1
        }
        return (source, target)
    }
}

/// The parts of several corpora, put together by pair: their training text one after the other.
struct CorpusParts {
    private var texts: [(part: ParallelText.Part, sources: [any PairSource])]

    /// Those of `data.path`.
    init(_ parts: [ParallelText.Part]) { texts = parts.map { ($0, [$0.source]) } }

    /// Adds the training text of a further corpus; returns what is not used of it, in words.
    mutating func add(_ parts: [ParallelText.Part], _ name: String) -> [String] {
        var unused: [String] = []
        for part in parts {
            guard part.split == .train else {
                unused.append("\(part.source.files[0]): not used: \(part.split.rawValue) text is that of data.path")
                continue
            }
            let places = [part.pair, part.pair.reversed].compactMap { pair in
                texts.firstIndex { $0.part.split == .train && $0.part.pair == pair }
            }
            guard let place = places.first else {
                texts.append(
                    (ParallelText.Part(pair: part.pair, split: .train, source: part.source, corpora: [name]), [part.source]))
                continue
            }
            texts[place].part.corpora.append(name)
            texts[place].sources.append(texts[place].part.pair == part.pair ? part.source : ReversedText(text: part.source))
        }
        return unused
    }

    /// In the order of `ParallelText.parts`.
    var parts: [ParallelText.Part] {
        let joined = texts.map { part, sources in
            sources.count == 1
                ? part
                : ParallelText.Part(
                    pair: part.pair, split: part.split, source: JoinedText(corpora: sources), corpora: part.corpora)
        }
        return joined.map { ("\($0.pair) \(Split.allCases.firstIndex(of: $0.split)!)", $0) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
}

import Testing

@testable import MixtureOfExperts

@Suite struct RowNoteTests {
    /// Every note comes as it was sent, also the largest numbers, and is no number that is none, whose bits an exchange might change.
    @Test func notesTravel() {
        let most = RowNote.mostRows - 1, place = PlaceHosts.mostPlaces - 1
        var notes = [RowNote()]
        for (number, via) in [(0, -1), (most, -1), (0, 0), (most, place)] {
            notes.append(RowNote(origin: number, via: via))
            notes.append(RowNote(origin: 3, added: number, addedFrom: via, passedTo: 1 << UInt32(place) | 1))
        }
        notes += [RowNote(origin: 1, via: 2, givenTo: 0), RowNote(origin: 1, givenTo: place)]
        for note in notes {
            #expect(RowNote(words: note.words) == note)
            for column in 0..<3 { #expect(Float(bitPattern: note.words[column]).isFinite, "\(note)") }
        }
    }
}

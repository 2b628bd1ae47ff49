import Testing

@testable import Planning

@Suite struct RoundTimelineTests {
    /// A stratum whose experts compute for 3 s, half of it for rows that stay, and whose rows take `way` seconds each way.
    private static func stratum(
        way: Double, isFirst: Bool = true, stays: Double = 0.5, pieces: Int = 1, peers: Int = 1, rows: Double = 1000,
        counts: Double = 0,
        moving: Double = 0
    ) -> RoundTimeline.Stratum {
        RoundTimeline.Stratum(
            isFirst: isFirst, experts: 3, stays: stays, places: (pieces, peers), rows: rows, counts: counts, way: way,
            moving: moving)
    }

    /// Layers of 3 s, a loss of 2 s and one block.
    private static func group(_ strata: RoundTimeline.Stratum...) -> RoundTimeline.Group {
        RoundTimeline.Group(layers: 3, loss: 2, strata: strata)
    }

    @Test func withoutLinksNothingIsWaitedFor() {
        let strata = [Self.stratum(way: 0, pieces: 3), Self.stratum(way: 0, isFirst: false)]
        let group = RoundTimeline.Group(layers: 3, loss: 2, strata: strata)
        for groups in 1...2 {
            let time = RoundTimeline([RoundTimeline.Group](repeating: group, count: groups), looks: 0.2)
            #expect(abs(time.now - Double(groups) * 11) < 1e-9 && abs(time.computed - time.now) < 1e-9)
        }
        let dense = RoundTimeline([RoundTimeline.Group(layers: 3, loss: 2, strata: [])], looks: 0.2)
        #expect(dense.now == 5 && dense.computed == 5 && dense.underWay == 0)
    }

    /// Forward: layers to 1, own rows to 1.5, others come at 2, are done at 2.5, back at 3.5. Backward: loss to 5.5, own rows to 6, others
    /// come at 6.5, are done at 7 and back at 8, as the weights' gradients are done; layers to 10.
    @Test func ownRowsAndWeightsHideRows() {
        let time = RoundTimeline([Self.group(Self.stratum(way: 1))], looks: 0)
        #expect(abs(time.now - 10) < 1e-9 && abs(time.computed - 8) < 1e-9)
    }

    /// Too few rows are awaited and computed together: half a second later in forward and in backward.
    @Test func fewRowsHideNothingOfTheirWay() {
        let time = RoundTimeline([Self.group(Self.stratum(way: 1, rows: 63))], looks: 0)
        #expect(abs(time.now - 11) < 1e-9)
    }

    /// In two parts the first to come is on its way back while the second is computed, and own rows are computed while both come.
    @Test func partsHideEachOther() {
        let stratum = Self.stratum(way: 1, pieces: 2)
        // Forward: sent at 1, come at 1.5 and 2; own rows to 1.5; parts are done at 1.75 and 2.25, and back at 2.5 and 3, for the way is
        // free from 2 on.
        let forward = 3.0, loss = forward + 2
        // Backward: the same from the loss on, and the weights' gradients beside the last rows.
        let weights = loss + 1.25 + 1
        let time = RoundTimeline([Self.group(stratum)], looks: 0)
        #expect(abs(time.now - (weights + 2)) < 1e-9, "\(time.now)")
    }

    /// Rows of two groups of peers come together at 2, of which both parts are done at 2.25 and 2.5; the first goes back meanwhile.
    @Test func peersShareTheWay() {
        let time = RoundTimeline([Self.group(Self.stratum(way: 1, peers: 2))], looks: 0)
        // Back at 2.75 and 3.25. Backward: loss to 5.25, all come at 6.25, are done at 6.75, back at 7.5; weights to 7.75.
        #expect(abs(time.now - 9.75) < 1e-9, "\(time.now)")
    }

    /// Each group's rows travel while the other one computes: nothing is waited for.
    @Test func groupsInTurnsHideRows() {
        let group = Self.group(Self.stratum(way: 1))
        let time = RoundTimeline([group, group], looks: 0)
        #expect(abs(time.now - 16) < 1e-9 && abs(time.computed - 16) < 1e-9)
    }

    /// How many rows come is asked for, and that waits for the other group's rows.
    @Test func countsWaitForRowsOnTheirWay() {
        let counted = Self.group(Self.stratum(way: 3, counts: 0.5))
        let time = RoundTimeline([counted, counted], looks: 0)
        // The first group's counts at 1.5, its rows at 4.5. The second group has computed at 2.5, and sends from 5 to 8. Rows go back from
        // the first group at 5.5, from the second at 8.5; they arrive at 11 and 14, for they wait for their way.
        #expect(time.now - time.computed > 1, "\(time.now)")
        let alone = RoundTimeline([Self.group(Self.stratum(way: 0, counts: 0.5))], looks: 0)
        #expect(abs(alone.now - alone.computed - 0.5) < 1e-9)
    }

    /// Of two buckets the first is final, and under way, when half of the layers' backward is done. With rows it stands in line.
    @Test func sumsBeginInBackward() {
        let dense = RoundTimeline.Group(layers: 3, loss: 2, strata: [])
        let sums = RoundTimeline.Sums(way: 3, moving: 0, buckets: 2)
        let time = RoundTimeline([dense], looks: 0, sums: sums)
        #expect(abs(time.now - 5) < 1e-9 && abs(time.underWay - 2) < 1e-9)
        let whole = RoundTimeline([dense, dense], looks: 0, sums: RoundTimeline.Sums(way: 3, moving: 0.5, buckets: 1))
        #expect(abs(whole.now - 10.5) < 1e-9 && abs(whole.underWay - 2.5) < 1e-9 && abs(whole.computed - 10) < 1e-9)
        let blocks = RoundTimeline.Group(
            layers: 6, loss: 2, strata: [Self.stratum(way: 0, stays: 0), Self.stratum(way: 0, stays: 0)])
        let behind = RoundTimeline([blocks], looks: 0, sums: RoundTimeline.Sums(way: 2, moving: 0, buckets: 2))
        // A second behind the later block's layers, before the rows of the earlier one; the other one after all layers.
        #expect(abs(behind.now - 15) < 1e-9 && abs(behind.underWay - 1) < 1e-9)
    }

    @Test func anEndlessWayIsAllThatCounts() {
        let group = Self.group(Self.stratum(way: 1e9, pieces: 2), Self.stratum(way: 1e9, isFirst: false))
        for groups in 1...2 {
            let time = RoundTimeline([RoundTimeline.Group](repeating: group, count: groups), looks: 0.2)
            #expect(abs(time.now / (Double(groups) * 8e9) - 1) < 1e-6)
        }
    }

    @Test func slowerWaysAreNeverFaster() {
        var before = 0.0
        for way in stride(from: 0.0, through: 8, by: 0.05) {
            let group = Self.group(
                Self.stratum(way: way, pieces: 4), Self.stratum(way: way / 2, isFirst: false, counts: 0.01),
                Self.stratum(way: way, stays: 0, pieces: 3), Self.stratum(way: way, isFirst: false, rows: 10))
            let (turns, alone) = (RoundTimeline([group, group], looks: 0.1).now, RoundTimeline([group], looks: 0.1).now)
            #expect(turns <= 2 * alone + 1e-9 && turns >= before - 1e-9, "\(way)")
            before = turns
        }
    }

    /// What is computed beside messages takes as much longer as looking after them takes; moving them is computing's time too.
    @Test func looksAndMovingTakeTheProcessor() {
        let strata = Self.stratum(way: 1), group = Self.group(strata)
        let (free, looked) = (RoundTimeline([group, group], looks: 0), RoundTimeline([group, group], looks: 0.1))
        #expect(looked.computed == free.computed && looked.now > free.now && looked.now <= 1.1 * free.now)
        let moved = Self.group(Self.stratum(way: 1, moving: 0.25))
        #expect(abs(RoundTimeline([moved, moved], looks: 0).now - 18) < 1e-9, "eight ways of a quarter")
    }
}

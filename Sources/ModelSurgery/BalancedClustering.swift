import TensorCore

/// Clusters of equal size (Strata's own algorithms; the paper's code uses a library's balanced k-means, and METIS for graphs).
enum BalancedClustering {
    /// Rounds of assignment at most, beginnings that are tried, and sweeps of swaps at most.
    private static let mostRounds = 100, starts = 10, mostSweeps = 10

    /// The cluster of each of the points [n, d], n / count in each: balanced k-means from several beginnings (k-means++, drawn under
    /// `key`), of which the one with the least sum of squared distances is improved by swaps.
    static func clusters(_ points: [Float], dim: Int, count: Int, key: RandomKey) -> [Int] {
        guard count > 1 else { return [Int](repeating: 0, count: points.count / dim) }
        var best: (labels: [Int], sum: Double)?
        for start in 0..<starts {
            let labels = clusters(points, dim: dim, from: beginning(points, dim: dim, count: count, key: key.derived(start)))
                .labels
            let sum = sumOfSquares(points, dim: dim, labels, count: count)
            if best.map({ sum < $0.sum }) ?? true { best = (labels, sum) }
        }
        return swapped(points, dim: dim, best!.labels, count: count)
    }

    /// Balanced k-means from the given centres [count, d], until labels repeat: all pairs of a point and a centre by their squared
    /// distance, ties by point and then by centre, are taken if both have room; centres are means.
    static func clusters(_ points: [Float], dim: Int, from centres: [Float]) -> (labels: [Int], centres: [Float]) {
        var centres = centres, labels: [Int] = []
        let number = points.count / dim, count = centres.count / dim, room = number / count
        let squares = (0..<number).map { squaredLength(points, dim: dim, $0) }
        for _ in 0..<mostRounds {
            let inner = productWithTranspose(points, centres, m: number, n: count, k: dim)
            let lengths = (0..<count).map { squaredLength(centres, dim: dim, $0) }
            let distances = inner.indices.map { squares[$0 / count] + lengths[$0 % count] - 2 * inner[$0] }
            let order = distances.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }
            var next = [Int](repeating: -1, count: number), left = [Int](repeating: room, count: count)
            for pair in order where next[pair / count] < 0 && left[pair % count] > 0 {
                next[pair / count] = pair % count
                left[pair % count] -= 1
            }
            centres = means(points, dim: dim, next, count: count)
            if next == labels { break }
            labels = next
        }
        return (labels, centres)
    }

    /// The sum of the squared distances of points to the mean of their cluster.
    static func sumOfSquares(_ points: [Float], dim: Int, _ labels: [Int], count: Int) -> Double {
        let centres = means(points, dim: dim, labels, count: count)
        return labels.indices.reduce(0) { sum, point in
            sum
                + (0..<dim).reduce(0.0) {
                    let difference = Double(points[point * dim + $1]) - Double(centres[labels[point] * dim + $1])
                    return $0 + difference * difference
                }
        }
    }

    private static func means(_ points: [Float], dim: Int, _ labels: [Int], count: Int) -> [Float] {
        NeuronExperts(labels: labels, of: Array(labels.indices), experts: count).centres(points, dim: dim)
    }

    private static func squaredLength(_ rows: [Float], dim: Int, _ row: Int) -> Float {
        var sum: Float = 0
        for index in row * dim..<(row + 1) * dim { sum += rows[index] * rows[index] }
        return sum
    }

    /// k-means++: centres are points, each drawn with a probability ∝ its squared distance to the nearest one before.
    private static func beginning(_ points: [Float], dim: Int, count: Int, key: RandomKey) -> [Float] {
        let number = points.count / dim
        var chosen = [min(Int(key.uniform(0) * Float(number)), number - 1)]
        var nearest = [Double](repeating: .infinity, count: number)
        while chosen.count < count {
            let last = chosen[chosen.count - 1]
            for point in 0..<number {
                var distance = 0.0
                for column in 0..<dim {
                    let difference = Double(points[point * dim + column] - points[last * dim + column])
                    distance += difference * difference
                }
                nearest[point] = min(nearest[point], distance)
            }
            var draw = Double(key.uniform(chosen.count)) * nearest.reduce(0, +)
            // Where all are at a centre, the first that is none.
            var next = (0..<number).first { !chosen.contains($0) }!
            for point in 0..<number where nearest[point] > 0 {
                next = point
                draw -= nearest[point]
                if draw < 0 { break }
            }
            chosen.append(next)
        }
        return chosen.flatMap { points[$0 * dim..<($0 + 1) * dim] }
    }

    /// Swaps of two points of different clusters while the sum of squares falls. With x and y of clusters a and b of m points each,
    /// their exchange changes it by −2 ⟨c_a − c_b, y − x⟩ − 2 ‖y − x‖² / m.
    private static func swapped(_ points: [Float], dim: Int, _ labels: [Int], count: Int) -> [Int] {
        var labels = labels, centres = means(points, dim: dim, labels, count: count)
        let number = labels.count, size = Float(number / count)
        var inner = productWithTranspose(points, centres, m: number, n: count, k: dim)
        for _ in 0..<mostSweeps {
            var isChanged = false
            for x in 0..<number {
                for y in (x + 1)..<max(number, x + 1) where labels[x] != labels[y] {
                    let (a, b) = (labels[x], labels[y])
                    let along = inner[y * count + a] - inner[y * count + b] - inner[x * count + a] + inner[x * count + b]
                    // ‖y − x‖² is at most 4 for rows of length 1.
                    guard along * size > -4 else { continue }
                    var square: Float = 0
                    for column in 0..<dim {
                        let difference = points[y * dim + column] - points[x * dim + column]
                        square += difference * difference
                    }
                    guard along + square / size > 1e-6 else { continue }
                    (labels[x], labels[y]) = (b, a)
                    for column in 0..<dim {
                        let move = (points[y * dim + column] - points[x * dim + column]) / size
                        centres[a * dim + column] += move
                        centres[b * dim + column] -= move
                    }
                    for cluster in [a, b] {
                        let column = productWithTranspose(
                            points, Array(centres[cluster * dim..<(cluster + 1) * dim]), m: number, n: 1, k: dim)
                        for point in 0..<number { inner[point * count + cluster] = column[point] }
                    }
                    isChanged = true
                }
            }
            if !isChanged { break }
        }
        return labels
    }

    /// The cluster of each node of a graph with edges [n, n], n / count in each, for a small cut: each cluster grows from the node
    /// with most edges among those that are left by the one with most edges to it, ties to the lower; then swaps of two nodes
    /// while the cut falls.
    static func cut(_ edges: [Float], count: Int) -> [Int] {
        let number = Int(Double(edges.count).squareRoot().rounded()), size = number / count
        var labels = [Int](repeating: -1, count: number)
        func edge(_ a: Int, _ b: Int) -> Float { a == b ? 0 : edges[a * number + b] }
        for cluster in 0..<count {
            let free = labels.indices.filter { labels[$0] < 0 }
            var sums = [Float](repeating: 0, count: number)
            for node in free { sums[node] = free.reduce(0) { $0 + edge(node, $1) } }
            var node = free.max { (sums[$0], $1) < (sums[$1], $0) }!
            sums = [Float](repeating: 0, count: number)
            for taken in 1...size {
                labels[node] = cluster
                guard taken < size else { break }
                for other in free { sums[other] += edge(node, other) }
                node = free.filter { labels[$0] < 0 }.max { (sums[$0], $1) < (sums[$1], $0) }!
            }
        }
        // Edges of each node to each cluster.
        var sums = [Float](repeating: 0, count: number * count)
        for a in 0..<number { for b in 0..<number { sums[a * count + labels[b]] += edge(a, b) } }
        for _ in 0..<mostSweeps {
            var isChanged = false
            for x in 0..<number {
                for y in (x + 1)..<max(number, x + 1) where labels[x] != labels[y] {
                    let (a, b) = (labels[x], labels[y])
                    let gain =
                        sums[x * count + b] - sums[x * count + a] + sums[y * count + a] - sums[y * count + b] - 2 * edge(x, y)
                    guard gain > 1e-6 * abs(sums[x * count + a]) else { continue }
                    (labels[x], labels[y]) = (b, a)
                    for node in 0..<number {
                        let difference = edge(node, y) - edge(node, x)
                        sums[node * count + a] += difference
                        sums[node * count + b] -= difference
                    }
                    isChanged = true
                }
            }
            if !isChanged { break }
        }
        return labels
    }
}

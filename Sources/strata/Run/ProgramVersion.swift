/// The version that `strata --version` prints, and that the signatures of scores name.
let programVersion = "0.1.0"

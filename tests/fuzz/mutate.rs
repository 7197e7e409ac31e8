//! Chance, and what it does to bytes.

/// No input is longer, in bytes.
pub const LONGEST: usize = 32 << 10;

/// A small generator of pseudo-random numbers (Marsaglia's xorshift64*), which begins where it is told to.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 33) % end as u64) as usize
    }

    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// Words that mean something to one reader or another.
const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    ":",
    "=",
    "#",
    ";",
    " ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ",",
    "-",
    "%",
    "*",
    "!",
    "&a",
    "*a",
    "\"",
    "'",
    "\\",
    "/",
    "..",
    "~",
    "|",
    ">",
    "<<",
    "--",
    "@",
    "0",
    "1",
    "-1",
    "1e308",
    "99999999999999999999",
    "18446744073709551615",
    "null",
    "true",
    "\u{200b}",
    "é",
    "\u{1b}[2J",
];

/// One of `pool`, changed in a few places.
pub fn mutated(chance: &mut Chance, pool: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut bytes = chance.of(pool).clone();
    for _ in 0..1 + chance.below(6) {
        mutate(chance, &mut bytes, pool, words);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str]) {
    let at = chance.below(bytes.len() + 1);
    let length = chance.below(32).min(bytes.len() - at);
    match chance.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        1 if at < bytes.len() => bytes[at] = chance.next() as u8,
        2 => drop(bytes.drain(at..at + length)),
        3 => bytes.truncate(at),
        4 => insert(bytes, at, &[chance.next() as u8]),
        5 => insert(bytes, at, chance.of(WORDS).as_bytes()),
        6 if !words.is_empty() => insert(bytes, at, chance.of(words).as_bytes()),
        // A piece, many times over: depth, and length.
        7 => {
            let piece = bytes[at..at + length].to_vec();
            let times = 1 << chance.below(12);
            let times = times.min(LONGEST / piece.len().max(1));
            insert(bytes, at, &piece.repeat(times));
        }
        _ => {
            let other = chance.of(pool);
            let from = chance.below(other.len() + 1);
            let piece = &other[from..from + chance.below(other.len() - from + 1)];
            insert(bytes, at, piece);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

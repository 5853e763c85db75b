//! Which question is asked how often.

/// Turns that are drawn before they are asked, over and over.
const TURNS: usize = 1 << 20;

/// A mix of questions.
pub(crate) enum Mix {
    /// The question of rank n is asked 1/n as often as the first.
    Zipf,
    /// Each is asked as often as any other.
    Uniform,
}

impl Mix {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Zipf => "zipf",
            Self::Uniform => "uniform",
        }
    }

    /// Which of so many questions are asked, in turn.
    pub(crate) fn turns(&self, questions: usize) -> Vec<u32> {
        let mut dice = Dice(1);
        let turn = |rank: usize| u32::try_from(rank).unwrap();
        match self {
            Self::Uniform => (0..TURNS).map(|_| turn(dice.below(questions))).collect(),
            Self::Zipf => {
                let mut total = 0.0;
                let sums: Vec<f64> = (1..=questions)
                    .map(|rank| {
                        total += 1.0 / rank as f64;
                        total
                    })
                    .collect();
                (0..TURNS)
                    .map(|_| {
                        let at = dice.share() * total;
                        turn(sums.partition_point(|sum| *sum < at).min(questions - 1))
                    })
                    .collect()
            }
        }
    }
}

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// At least 0, below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

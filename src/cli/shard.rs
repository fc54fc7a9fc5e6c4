//! `--shard I/N`, and `--shard /N` in a Kubernetes Indexed Job.

use std::str::FromStr;

use countersign::observe::Shard;

use super::error::Failed;

/// Which variable a Kubernetes Indexed Job gives each of its pods.
///
/// Source: Kubernetes, "Indexed Job for Parallel Processing with Static Work Assignment".
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// What was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ShardArg {
    index: Option<u32>,
    of: u32,
}

impl FromStr for ShardArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write I/N with I from 0 and less than N, as in 0/4; or /N";
        let (index, of) = text.split_once('/').ok_or(FORM)?;
        let of = of.parse().ok().filter(|of| *of > 0).ok_or(FORM)?;
        let index = match index {
            "" => None,
            index => Some(index.parse().ok().filter(|index| *index < of).ok_or(FORM)?),
        };
        Ok(Self { index, of })
    }
}

impl ShardArg {
    /// The shard, with its index from the environment where none is written.
    pub(crate) fn resolve(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Shard, Failed> {
        let given = || variable(INDEX)?.parse().ok().filter(|index| *index < self.of);
        let index = self.index.or_else(given).ok_or_else(|| {
            Failed::usage(format!("--shard /{}: {INDEX} is no number below {}", self.of, self.of))
                .help(format!("write the part too: --shard 0/{}", self.of))
        })?;
        Ok(Shard { index, of: self.of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_part_of_a_whole() {
        let parse = |text: &str| text.parse::<ShardArg>();
        assert_eq!(parse("1/4"), Ok(ShardArg { index: Some(1), of: 4 }));
        for wrong in ["4/4", "1", "1/0", "a/4", "-1/4", "1/4/5", "/"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let shard = parse("/4").unwrap();
        let found = shard.resolve(|_| Some("3".to_owned())).unwrap();
        assert_eq!(found, Shard { index: 3, of: 4 });
        assert!(shard.resolve(|_| Some("4".to_owned())).is_err());
        assert!(shard.resolve(|_| None).is_err());
    }
}

//! Guards: a plan that removes or re-signs far more than usual stops before its first write.

use std::collections::BTreeMap;

use crate::model::{Repository, SignerName};
use crate::plan::{Change, Plan, Standing};

/// So many removals of retired or undeclared signatures are never usual.
const MAX_CLEANS: usize = 50;
/// Below so many signatures or subjects a share says nothing.
const FEWEST: usize = 10;
/// A larger share than this, in percent, is not usual.
const PERCENT: usize = 30;

/// What the user has allowed, as numbers: an old flag cannot license a larger loss.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// `--allow-clean N`: so many removals of retired or undeclared signatures in all.
    pub allow_clean: Option<usize>,
    /// `--allow-resign N`: so many signatures made anew in all.
    pub allow_resign: Option<usize>,
    /// `--max-log-entries N`: so many entries in transparency logs, and no more.
    pub max_log_entries: Option<usize>,
}

impl Limits {
    /// What the user allows, without a limit to log entries.
    pub fn new(allow_clean: Option<usize>, allow_resign: Option<usize>) -> Self {
        Self { allow_clean, allow_resign, max_log_entries: None }
    }

    /// The same with a limit to the entries in transparency logs.
    pub fn with_log_entries(self, most: Option<usize>) -> Self {
        Self { max_log_entries: most, ..self }
    }
}

/// A plan that a guard stopped. Nothing was written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Guarded {
    /// Too many removals.
    #[error("the plan removes {cleans} retired or undeclared signatures{place}: more than {limit}")]
    Clean {
        /// How many in all.
        cleans: usize,
        /// Where the share is too large.
        place: String,
        /// What is usual.
        limit: String,
    },
    /// Too many entries in transparency logs.
    #[error("the plan makes {log_entries} entries in transparency logs: more than {limit}")]
    LogEntries {
        /// How many.
        log_entries: usize,
        /// What the user allows.
        limit: usize,
    },
    /// Too many signatures made anew.
    #[error(
        "the plan makes {resigns} signatures anew, {of_signer} of them by {signer} on {carrying} subjects that carry its signatures: more than {PERCENT} %"
    )]
    Resign {
        /// How many in all.
        resigns: usize,
        /// Whose share is too large.
        signer: SignerName,
        /// How many of them are that signer's.
        of_signer: usize,
        /// How many subjects carry signatures of that signer.
        carrying: usize,
    },
}

impl Guarded {
    /// The flag that lifts it, with its number.
    pub fn flag(&self) -> String {
        match self {
            Self::Clean { cleans, .. } => format!("--allow-clean {cleans}"),
            Self::LogEntries { log_entries, .. } => format!("--max-log-entries {log_entries}"),
            Self::Resign { resigns, .. } => format!("--allow-resign {resigns}"),
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Clean { .. } => "guard::clean",
            Self::LogEntries { .. } => "guard::log_entries",
            Self::Resign { .. } => "guard::resign",
        }
    }
}

impl Limits {
    /// Checks a plan before its first write.
    ///
    /// # Errors
    ///
    /// - Removals of retired or undeclared signatures over 50 in all, or over 30 % of the signatures seen
    ///   in a repository with at least 10.
    /// - Re-signing over 30 % of the subjects where there are at least 10 that carry signatures of that
    ///   signer.
    /// - More entries in transparency logs than the user allows.
    pub fn check(&self, plan: &Plan) -> Result<(), Guarded> {
        self.check_cleans(plan)?;
        self.check_resigns(plan)?;
        let log_entries = plan.publishes().log_entries;
        match self.max_log_entries {
            Some(limit) if log_entries > limit => Err(Guarded::LogEntries { log_entries, limit }),
            _ => Ok(()),
        }
    }

    fn check_cleans(&self, plan: &Plan) -> Result<(), Guarded> {
        let mut cleans = 0;
        let mut repositories: BTreeMap<&Repository, (usize, usize)> = BTreeMap::new();
        for target in &plan.targets {
            let (gone, seen) = repositories.entry(&target.target.signatures).or_default();
            for change in &target.changes {
                let found = !matches!(change, Change::Resign { .. } | Change::Attach { .. });
                *seen += usize::from(found && change.found().is_some());
                if let Change::Clean { standing: Standing::Retired | Standing::Foreign, .. } =
                    change
                {
                    cleans += 1;
                    *gone += 1;
                }
            }
        }
        if self.allow_clean.is_some_and(|allowed| cleans <= allowed) {
            return Ok(());
        }
        let large = repositories
            .into_iter()
            .find(|(_, (gone, seen))| *seen >= FEWEST && *gone * 100 > *seen * PERCENT);
        match large {
            _ if cleans > MAX_CLEANS => {
                Err(Guarded::Clean { cleans, place: String::new(), limit: MAX_CLEANS.to_string() })
            }
            Some((repository, (gone, seen))) => Err(Guarded::Clean {
                cleans,
                place: format!(", {gone} of the {seen} seen in {repository}"),
                limit: format!("{PERCENT} %"),
            }),
            None => Ok(()),
        }
    }

    fn check_resigns(&self, plan: &Plan) -> Result<(), Guarded> {
        let mut resigns = 0;
        let mut signers: BTreeMap<&SignerName, (usize, usize)> = BTreeMap::new();
        for target in &plan.targets {
            let mut carried: Vec<&SignerName> =
                target.changes.iter().filter_map(|change| change.found()?.signer()).collect();
            carried.sort();
            carried.dedup();
            for signer in carried {
                signers.entry(signer).or_default().1 += 1;
            }
            let mut resigned: Vec<&SignerName> = Vec::new();
            for change in &target.changes {
                if let Change::Resign { want, .. } = change {
                    resigns += 1;
                    resigned.push(&want.signer);
                }
            }
            resigned.sort();
            resigned.dedup();
            for signer in resigned {
                signers.entry(signer).or_default().0 += 1;
            }
        }
        if self.allow_resign.is_some_and(|allowed| resigns <= allowed) {
            return Ok(());
        }
        let large = signers.into_iter().find(|(_, (resigned, carrying))| {
            *carrying >= FEWEST && *resigned * 100 > *carrying * PERCENT
        });
        match large {
            Some((signer, (of_signer, carrying))) => {
                Err(Guarded::Resign { resigns, signer: signer.clone(), of_signer, carrying })
            }
            None => Ok(()),
        }
    }
}

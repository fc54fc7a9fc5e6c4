//! A saved plan narrows an apply, and never authorises one.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{
    Action, Change, Failure, FailureClass, Name, Origin, PLAN_FORMAT, Plan, PlanFile, TargetPlan,
    Unresolved,
};

/// A file that is no saved plan of this version.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// Not JSON of that shape.
    #[error("the file is not a saved plan")]
    Malformed(#[from] serde_json::Error),
    /// A newer major version, or an older one.
    #[error("the saved plan has format {found}, and this countersign reads {PLAN_FORMAT}")]
    Version {
        /// What the file says.
        found: String,
    },
}

impl PlanFile {
    /// Reads a saved plan.
    ///
    /// # Errors
    ///
    /// When the bytes are no plan, or of another major version.
    pub fn parse(bytes: &[u8]) -> Result<Self, SavedPlanError> {
        #[derive(serde::Deserialize)]
        struct Version {
            format_version: String,
        }
        let Version { format_version } = serde_json::from_slice(bytes)?;
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if major(&format_version) != major(PLAN_FORMAT) {
            return Err(SavedPlanError::Version { found: format_version });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// Keeps of `fresh` what `saved` says too.
///
/// What the saved plan says and is done by now counts as done. Where the rest differs, that subject is
/// refused: its changes are replaced by one [`Change::Blocked`] of class [`FailureClass::Stale`], and the
/// others go on.
pub fn narrow(mut fresh: Plan, saved: &PlanFile) -> Plan {
    let mut planned: BTreeMap<(String, Option<String>), Writes<'_>> = BTreeMap::new();
    for image in &saved.images {
        let key = (image.subject.clone(), image.signature_repository.clone());
        let writes = image.changes.iter().filter(|change| change.action.writes());
        planned.entry(key).or_default().extend(writes.map(|it| (it.id.as_str(), it.action)));
    }
    let mut verdicts = Vec::with_capacity(fresh.targets.len());
    for plan in &fresh.targets {
        let subject = plan.target.subject.to_string();
        let elsewhere = (plan.target.signatures != plan.target.subject.repository)
            .then(|| plan.target.signatures.to_string());
        let writes = planned.remove(&(subject, elsewhere)).unwrap_or_default();
        verdicts.push(stale(&fresh, plan, &writes));
    }
    for (plan, verdict) in fresh.targets.iter_mut().zip(verdicts) {
        if let Some(reason) = verdict {
            plan.changes = vec![Change::Blocked { want: None, reason }];
        }
    }
    for ((subject, _), writes) in planned.into_iter().filter(|(_, writes)| !writes.is_empty()) {
        let message = format!(
            "the saved plan has {} for {subject}, which the spec no longer reaches",
            changes(writes.len())
        );
        let origin = Origin { file: "the saved plan".into(), line: 0 };
        let name = Name { text: subject.into(), origin };
        fresh.unresolved.push(Unresolved { name, reason: refusal(message) });
    }
    fresh
}

/// The changes of one subject that a saved plan would write, by id.
type Writes<'a> = BTreeMap<&'a str, Action>;

/// Why the fresh changes of one subject are not those that were saved.
fn stale(fresh: &Plan, plan: &TargetPlan, saved: &Writes<'_>) -> Option<Failure> {
    let subject = &plan.target.subject;
    let ids = |wanted: fn(Action) -> bool| -> BTreeSet<String> {
        let changes = plan.changes.iter().filter(|change| wanted(change.action()));
        changes.map(|change| fresh.change_id(plan, change).to_string()).collect()
    };
    let pending = ids(Action::writes);
    let kept = ids(|action| action == Action::Keep);
    let new = pending.iter().filter(|id| !saved.contains_key(id.as_str())).count();
    if new > 0 {
        let message = format!("{subject} needs {} that the saved plan does not have", changes(new));
        return Some(refusal(message));
    }
    let there: BTreeSet<String> = plan
        .changes
        .iter()
        .filter_map(Change::found)
        .map(|found| fresh.clean_id(plan, found).to_string())
        .collect();
    let left = saved.iter().filter(|(id, action)| {
        let done = match action {
            Action::Clean => !there.contains(**id),
            // What is right now needs no mending.
            Action::Repair => true,
            _ => kept.contains(**id),
        };
        !pending.contains(**id) && !done
    });
    let left = left.count();
    (left > 0)
        .then(|| refusal(format!("{subject} no longer needs {} of the saved plan", changes(left))))
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

fn refusal(message: String) -> Failure {
    Failure::new("plan::stale", message, FailureClass::Stale)
        .help("make a new plan, review it, and apply that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_major_version_is_refused() {
        let file = Plan::default().to_file();
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(PlanFile::parse(text.as_bytes()).unwrap(), file);
        let newer = text.replace("\"1.0\"", "\"2.0\"");
        let error = PlanFile::parse(newer.as_bytes()).unwrap_err();
        assert!(matches!(error, SavedPlanError::Version { .. }), "{error}");
        assert!(matches!(PlanFile::parse(b"{}").unwrap_err(), SavedPlanError::Malformed(_)));
    }
}

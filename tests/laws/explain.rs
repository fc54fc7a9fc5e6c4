//! `explain` agrees with `plan`: it reads more, and decides the same.

use std::collections::BTreeMap;

use countersign::model::Timestamp;
use countersign::plan::{Change, Explained, Plan, TargetPlan, verify};
use proptest::prelude::*;

use crate::world::{World, block_on, scenarios};

/// How many signatures count, by subject and place.
fn kept(plan: &Plan) -> BTreeMap<String, usize> {
    let targets = plan
        .targets
        .iter()
        .map(|plan| (format!("{} {}", plan.target.subject, plan.target.signatures), kept_of(plan)));
    targets.collect()
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn a_signature_counts_where_the_plan_keeps_it(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            for round in 0..2 {
                let (plan, _) = world.plan().await;
                let writes = world.store.counts().writes();
                let (explanations, unresolved) = world.observer().explain(&world.desired).await;
                assert_eq!(world.store.counts().writes(), writes);
                assert_eq!(unresolved, plan.unresolved);
                let counting = explanations.iter().map(|it| {
                    let counting = it.signatures.iter().filter(|it| it.counts.is_ok()).count();
                    let told = |it: &Explained| it.counts.as_ref().err().is_none_or(|it| !it.is_empty());
                    assert!(it.signatures.iter().all(told));
                    (format!("{} {}", it.subject, it.place.0), counting)
                });
                assert_eq!(counting.collect::<BTreeMap<_, _>>(), kept(&plan), "round {round}");
                for (explanation, target) in explanations.iter().zip(&plan.targets) {
                    let missing = target.target.wants.len() - kept_of(target);
                    assert_eq!(explanation.unmet.len(), missing);
                }
                world.apply().await;
            }
        });
    }

    /// What an apply has put in place, a verifier finds.
    #[test]
    fn what_converged_verifies(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let report = world.apply().await;
            let (plan, _) = world.plan().await;
            let verification = verify(&plan, Timestamp::from_seconds(0));
            // A tag that has moved is what an apply cannot mend.
            let moved = plan.targets.iter().any(|it| !it.target.moved.is_empty());
            let good = report.failures().next().is_none() && !moved;
            assert_eq!(verification.is_good(), good);
        });
    }
}

fn kept_of(target: &TargetPlan) -> usize {
    target.changes.iter().filter(|it| matches!(it, Change::Keep { .. })).count()
}

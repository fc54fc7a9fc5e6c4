//! Failures on demand: what networks, registries and other people do to a run.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::store::StoreErrorKind;
use crate::store::memory::{MemoryStore, Operation};

type Hook = Arc<dyn Fn(&MemoryStore, &Operation) + Send + Sync>;
type Rule = Arc<dyn Fn(&Operation) -> Option<StoreErrorKind> + Send + Sync>;

/// What will go wrong.
#[derive(Default)]
pub(super) struct Faults {
    next: VecDeque<StoreErrorKind>,
    rules: Vec<Rule>,
    lost: Vec<Rule>,
    hooks: Vec<Hook>,
    /// How many writes are left until everything fails.
    writes_left: Option<usize>,
}

impl Faults {
    pub(super) fn callbacks(&self) -> (Vec<Hook>, Vec<Rule>) {
        (self.hooks.clone(), self.rules.clone())
    }

    /// The failure that hits the next operation, whatever it is.
    pub(super) fn strike(&mut self) -> Option<StoreErrorKind> {
        if self.writes_left == Some(0) {
            return Some(StoreErrorKind::Unavailable);
        }
        self.next.pop_front()
    }

    /// Notes that `operation` happened; the failure that hides this from its caller, if any.
    pub(super) fn happened(&mut self, operation: &Operation) -> Option<StoreErrorKind> {
        if operation.is_write() {
            self.writes_left = self.writes_left.map(|left| left.saturating_sub(1));
        }
        self.lost.iter().find_map(|rule| rule(operation))
    }
}

impl MemoryStore {
    /// Lets the next operation fail; called twice, the next two.
    pub fn fail_next(&self, kind: StoreErrorKind) {
        self.faults().next.push_back(kind);
    }

    /// Lets every operation fail for which `rule` gives a kind; nothing happens then.
    ///
    /// `rule` is called once for each operation, in order, and must not use the store.
    pub fn fail_when(
        &self,
        rule: impl Fn(&Operation) -> Option<StoreErrorKind> + Send + Sync + 'static,
    ) {
        self.faults().rules.push(Arc::new(rule));
    }

    /// Lets operations happen but their answers get lost: the caller sees a failure of the kind that
    /// `rule` gives.
    ///
    /// `rule` must not use the store.
    pub fn lose_answer_when(
        &self,
        rule: impl Fn(&Operation) -> Option<StoreErrorKind> + Send + Sync + 'static,
    ) {
        self.faults().lost.push(Arc::new(rule));
    }

    /// Crashes after `writes` more writes: every later operation is [`StoreErrorKind::Unavailable`].
    pub fn crash_after(&self, writes: usize) {
        self.faults().writes_left = Some(writes);
    }

    /// Calls `hook` before every operation: there a concurrent writer can [`edit`](Self::edit).
    pub fn before(&self, hook: impl Fn(&MemoryStore, &Operation) + Send + Sync + 'static) {
        self.faults().hooks.push(Arc::new(hook));
    }

    /// Takes every fault and hook away, a crash too; the contents stay.
    pub fn recover(&self) {
        *self.faults() = Faults::default();
    }
}

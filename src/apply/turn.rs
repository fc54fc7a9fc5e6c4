//! Who works now: as many subjects as were asked for, beside those that only wait for services.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right of one subject to be worked on; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Semaphore>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turn {
    /// Waits until it is one's turn.
    pub(super) async fn take(turns: &Arc<Semaphore>) -> Self {
        let permit = Mutex::new(Arc::clone(turns).acquire_owned().await.ok());
        Self { turns: Arc::clone(turns), permit }
    }

    /// A turn that nobody else waits for.
    pub(super) fn alone() -> Self {
        Self { turns: Arc::new(Semaphore::new(1)), permit: Mutex::default() }
    }

    /// Waits for a service, while somebody else has the turn: waits cost nothing, so they overlap.
    pub(super) async fn wait<T>(&self, service: impl Future<Output = T>) -> T {
        self.hold(None);
        let answer = service.await;
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok();
        self.hold(permit);
        answer
    }

    fn hold(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}

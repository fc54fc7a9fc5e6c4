//! SIGINT and SIGTERM: the first asks to finish, the second ends the process at once.

use std::io::{self, Write as _};

use countersign::apply::Stop;
use countersign::exit_code::ExitCode;
use tokio::sync::watch;

use super::environment::show_typing;

/// What has come so far.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    received: watch::Receiver<Option<ExitCode>>,
    /// Thrown by the first signal.
    pub(crate) stop: Stop,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// When the system takes no handler.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, received) = watch::channel(None);
        let stop = Stop::default();
        let mut incoming = Incoming::new()?;
        let switch = stop.clone();
        tokio::spawn(async move {
            let first = incoming.next().await;
            switch.stop();
            sender.send_replace(Some(first));
            let second = incoming.next().await;
            show_typing();
            std::process::exit(i32::from(second.number()));
        });
        Ok(Self { received, stop })
    }

    /// The exit code of the signal that came, if one did.
    pub(crate) fn received(&self) -> Option<ExitCode> {
        *self.received.borrow()
    }

    /// Waits for a signal.
    pub(crate) async fn wait(&self) -> ExitCode {
        let mut received = self.received.clone();
        let found = received.wait_for(Option::is_some).await.ok().and_then(|it| *it);
        match found {
            Some(exit) => exit,
            // The listener never ends before the process.
            None => std::future::pending().await,
        }
    }

    /// Says, when the first signal comes, that the run ends soon.
    pub(crate) fn announce(&self) {
        let signals = self.clone();
        tokio::spawn(async move {
            signals.wait().await;
            let text = "interrupted: finishing what is under way; once more ends at once";
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }
}

#[cfg(unix)]
struct Incoming {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Incoming {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::Interrupted,
            _ = self.terminate.recv() => ExitCode::Terminated,
        }
    }
}

#[cfg(not(unix))]
struct Incoming;

#[cfg(not(unix))]
impl Incoming {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> ExitCode {
        match tokio::signal::ctrl_c().await {
            Ok(()) => ExitCode::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}

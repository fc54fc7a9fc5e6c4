//! Distance on loopback: a proxy that makes a port look a round trip away, without root.
//!
//! Bytes of each direction arrive half a round trip later, pipelined, so bandwidth is untouched. A new connection costs
//! one round trip more, as its handshake would.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::background::Background;

/// A port behind which `target` is `round_trip` away; closed when dropped.
pub struct Delay(Background);

impl Delay {
    /// Opens the port.
    pub fn start(target: SocketAddr, round_trip: Duration) -> Self {
        Self(Background::start(move |listener| serve(listener, target, round_trip)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, round_trip: Duration) {
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        let open_at = Instant::now() + round_trip;
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_read, near_write), (far_read, far_write)) =
                (near.into_split(), far.into_split());
            tokio::join!(
                carry(near_read, far_write, open_at, round_trip / 2),
                carry(far_read, near_write, open_at, round_trip / 2),
            );
        });
    }
}

/// Carries bytes one way; each arrives `delay` after it was read, none before `open_at`.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, open_at: Instant, delay: Duration) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let read = async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now().max(open_at) + delay;
            if sender.send((due, buffer[..length].to_vec())).await.is_err() {
                break;
            }
        }
        // The end of the stream travels too.
        let _ = sender.send((Instant::now().max(open_at) + delay, Vec::new())).await;
    };
    let write = async move {
        while let Some((due, bytes)) = receiver.recv().await {
            sleep_until(due).await;
            if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

//! The tiles of Rekor v2: how an entry that is there already is read and proven.
//!
//! Source: C2SP `tlog-tiles`, RFC 6962 §2.1.1.

use std::collections::HashMap;
use std::ops::Range;

use reqwest::Method;
use sigstore_merkle::hash_children;
use sigstore_types::Sha256Hash;

use crate::payload::InclusionProof;
use crate::sigstore::ServiceError;
use crate::sigstore::connection::Connection;
use crate::wire::http::{Call, HttpFailure, HttpFailureKind};

/// As many hashes, or entries, as a full tile has.
const WIDTH: u64 = 256;
/// Each level of tiles stands for so many levels of the tree.
const HEIGHT: u32 = 8;
const READ: &str = "read an entry of";

/// The tiles of one log.
pub(super) struct Tiles<'a> {
    connection: &'a Connection,
}

/// A subtree that is complete: 2^`level` leaves, the `index`th of its kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Node {
    level: u32,
    index: u64,
}

/// The hashes at the bottom of one tile, by its level and number.
type Fetched = HashMap<(u32, u64), Vec<Sha256Hash>>;

impl<'a> Tiles<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// The entry at `index`, with its proof in the newest tree. Some five requests; nothing is verified.
    pub(super) async fn entry(
        &self,
        index: u64,
    ) -> Result<(Vec<u8>, InclusionProof), ServiceError> {
        let wrong = |why: &str| self.connection.untrusted(READ, why);
        let checkpoint = String::from_utf8(self.read("checkpoint").await?)
            .map_err(|_| wrong("its checkpoint is no text"))?;
        let (size, root) = head(&checkpoint).ok_or_else(|| wrong("its checkpoint has no form"))?;
        if index >= size {
            return Err(wrong("the entry that it says is there lies beyond its checkpoint"));
        }
        let entries = self.tile("entries", index / WIDTH, size).await?;
        let body = nth_entry(&entries, index % WIDTH)
            .ok_or_else(|| wrong("the tile of its entries has no form"))?;
        let ranges = path_to_root(index, size);
        let mut fetched = Fetched::new();
        for node in ranges.iter().flat_map(|range| subtrees(range.clone())) {
            let (level, tile) = tile_of(node);
            if fetched.contains_key(&(level, tile)) {
                continue;
            }
            let hashes = self.tile(&level.to_string(), tile, size >> (HEIGHT * level)).await?;
            let (hashes, rest) = hashes.as_chunks::<32>();
            if !rest.is_empty() {
                return Err(wrong("a tile has no whole hashes"));
            }
            let hashes = hashes.iter().map(|it| Sha256Hash::new(*it)).collect();
            fetched.insert((level, tile), hashes);
        }
        let hashes: Option<Vec<Vec<u8>>> = ranges
            .into_iter()
            .map(|range| Some(range_hash(range, &fetched)?.as_bytes().to_vec()))
            .collect();
        let hashes = hashes.ok_or_else(|| wrong("a tile is too short"))?;
        let (log_index, tree_size) = (index, size);
        Ok((body, InclusionProof { log_index, tree_size, root_hash: root, hashes, checkpoint }))
    }

    /// A tile of a level that has `there` things; the whole one where the part of it has been removed since.
    async fn tile(&self, level: &str, tile: u64, there: u64) -> Result<Vec<u8>, ServiceError> {
        let part = width(there, tile);
        match self.content(&tile_path(level, tile, part)).await {
            Err(failure) if part.is_some() && failure.kind == HttpFailureKind::NotFound => {
                self.read(&tile_path(level, tile, None)).await
            }
            content => content.map_err(|failure| self.connection.failed(READ, &failure)),
        }
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>, ServiceError> {
        let content = self.content(path).await;
        content.map_err(|failure| self.connection.failed(READ, &failure))
    }

    async fn content(&self, path: &str) -> Result<Vec<u8>, HttpFailure> {
        let url = self.connection.url(&format!("/api/v2/{path}"));
        let answer = self.connection.send(&Call::new(Method::GET, url)).await?;
        Ok(answer.body.expose().clone())
    }
}

/// Size and root of a checkpoint.
///
/// Source: C2SP `tlog-checkpoint`: origin, size and root in one line each.
fn head(checkpoint: &str) -> Option<(u64, Vec<u8>)> {
    use base64::Engine as _;
    let mut lines = checkpoint.lines().skip(1);
    let size = lines.next()?.parse().ok()?;
    let root = base64::engine::general_purpose::STANDARD.decode(lines.next()?).ok()?;
    Some((size, root))
}

/// How many things a tile has, where it is not full: `there` is how many there are on its level.
fn width(there: u64, tile: u64) -> Option<u64> {
    let rest = there.saturating_sub(tile.saturating_mul(WIDTH));
    (rest < WIDTH).then_some(rest)
}

/// `tile/0/x001/x234/067.p/8`
fn tile_path(level: &str, index: u64, width: Option<u64>) -> String {
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let partial = width.map(|width| format!(".p/{width}")).unwrap_or_default();
    format!("tile/{level}/{number}{partial}")
}

/// Each entry stands behind its length, two bytes, the highest first.
fn nth_entry(mut tile: &[u8], nth: u64) -> Option<Vec<u8>> {
    for at in 0..=nth {
        let (length, rest) = tile.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        if at == nth {
            return Some(entry.to_vec());
        }
        tile = rest;
    }
    None
}

/// The ranges of leaves beside the way from a leaf to the root, from the leaf up.
fn path_to_root(leaf: u64, size: u64) -> Vec<Range<u64>> {
    let mut beside = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let split = range.start + left_size(range.end - range.start);
        if leaf < split {
            beside.push(split..range.end);
            range.end = split;
        } else {
            beside.push(range.start..split);
            range.start = split;
        }
    }
    beside.reverse();
    beside
}

/// The largest power of two below `size`, which is more than one.
fn left_size(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The complete subtrees of a range, from left to right, each smaller than the one before.
fn subtrees(mut range: Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    while range.start < range.end {
        let level = u64::BITS - 1 - (range.end - range.start).leading_zeros();
        nodes.push(Node { level, index: range.start >> level });
        range.start += 1 << level;
    }
    nodes
}

/// The level and number of the tile that a subtree is in.
fn tile_of(node: Node) -> (u32, u64) {
    (node.level / HEIGHT, (node.index << (node.level % HEIGHT)) / WIDTH)
}

fn range_hash(range: Range<u64>, fetched: &Fetched) -> Option<Sha256Hash> {
    let mut nodes = subtrees(range).into_iter().rev();
    let mut hash = node_hash(nodes.next()?, fetched)?;
    for left in nodes {
        hash = hash_children(&node_hash(left, fetched)?, &hash);
    }
    Some(hash)
}

fn node_hash(node: Node, fetched: &Fetched) -> Option<Sha256Hash> {
    let inner = node.level % HEIGHT;
    let first = usize::try_from((node.index << inner) % WIDTH).ok()?;
    let tile = fetched.get(&tile_of(node))?;
    let mut hashes = tile.get(first..first.checked_add(1 << inner)?)?.to_vec();
    while hashes.len() > 1 {
        let (pairs, _) = hashes.as_chunks::<2>();
        hashes = pairs.iter().map(|[left, right]| hash_children(left, right)).collect();
    }
    hashes.first().copied()
}

#[cfg(test)]
mod tests;

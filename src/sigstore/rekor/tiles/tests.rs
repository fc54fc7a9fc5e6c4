use sigstore_merkle::{hash_leaf, verify_inclusion_proof};

use super::*;

fn leaves(count: u64) -> Vec<Sha256Hash> {
    (0..count).map(|leaf| hash_leaf(&leaf.to_be_bytes())).collect()
}

/// RFC 6962 §2.1, word for word.
fn root(leaves: &[Sha256Hash]) -> Sha256Hash {
    match leaves {
        [only] => *only,
        _ => {
            let split = usize::try_from(left_size(leaves.len() as u64)).unwrap();
            hash_children(&root(&leaves[..split]), &root(&leaves[split..]))
        }
    }
}

/// The tiles of a tree, all of them.
fn tiles(leaves: &[Sha256Hash]) -> Fetched {
    let (mut fetched, mut hashes, mut level) = (Fetched::new(), leaves.to_vec(), 0);
    while !hashes.is_empty() {
        for (tile, part) in hashes.chunks(256).enumerate() {
            fetched.insert((level, tile as u64), part.to_vec());
        }
        hashes = hashes.chunks_exact(256).map(root).collect();
        level += 1;
    }
    fetched
}

#[test]
fn every_leaf_of_every_tree_is_proven_from_tiles() {
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 511, 513, 66_000] {
        let leaves = leaves(size);
        let (root, fetched) = (root(&leaves), tiles(&leaves));
        let some = [0, 1, 2, size / 2, 254, 255, 256, 512, 65_535, 65_536, size - 1];
        for leaf in some.into_iter().filter(|it| *it < size) {
            let hashes: Vec<Sha256Hash> = path_to_root(leaf, size)
                .into_iter()
                .map(|range| range_hash(range, &fetched).unwrap())
                .collect();
            let at = usize::try_from(leaf).unwrap();
            let proven = verify_inclusion_proof(&leaves[at], leaf, size, &hashes, &root);
            assert!(proven.is_ok(), "leaf {leaf} of {size}: {proven:?}");
        }
    }
}

#[test]
fn tiles_are_named_as_the_specification_has_it() {
    assert_eq!(tile_path("0", 1_234_067, None), "tile/0/x001/x234/067");
    assert_eq!(tile_path("entries", 5, Some(8)), "tile/entries/005.p/8");
    assert_eq!(width(256, 0), None);
    assert_eq!(width(300, 1), Some(44));
}

#[test]
fn entries_and_checkpoints_are_read_and_nothing_short_is() {
    let tile = [&[0, 1, b'a'][..], &[0, 2, b'b', b'c']].concat();
    assert_eq!(nth_entry(&tile, 1).unwrap(), b"bc");
    assert_eq!(nth_entry(&tile, 2), None);
    assert_eq!(nth_entry(&tile[..6], 1), None);
    assert_eq!(head("log.example\n7\nAAE=\n\n— x y\n"), Some((7, vec![0, 1])));
    assert_eq!(head("log.example\nseven\nAAE=\n"), None);
}

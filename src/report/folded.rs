//! Equal things of many hosts, told once.

use std::collections::HashMap;
use std::hash::Hash;

use crate::targets::Target;

/// Hosts collected under what they have in common; both in the order they came.
pub struct Folded<K> {
    places: HashMap<K, usize>,
    blocks: Vec<(K, Vec<Target>)>,
}

impl<K> Default for Folded<K> {
    fn default() -> Self {
        Folded { places: HashMap::new(), blocks: Vec::new() }
    }
}

impl<K: Eq + Hash + Clone> Folded<K> {
    /// Whether it is the first of its block.
    pub fn add(&mut self, key: K, host: &Target) -> bool {
        let before = self.blocks.len();
        let place = *self.places.entry(key.clone()).or_insert_with(|| {
            self.blocks.push((key, Vec::new()));
            self.blocks.len() - 1
        });
        self.blocks[place].1.push(host.clone());
        self.blocks.len() > before
    }

    /// The blocks so far; none is left.
    pub fn take(&mut self) -> Vec<(K, Vec<Target>)> {
        self.places.clear();
        std::mem::take(&mut self.blocks)
    }
}

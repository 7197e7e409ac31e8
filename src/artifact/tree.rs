//! The names that an artifact holds: no two entries in each other's way, and no link that leads out.

use std::collections::BTreeMap;

use super::names;

/// Files, links and directories that an artifact may have.
const MOST: usize = 1_000_000;
/// A chain of links that is longer leads nowhere: the system gives up as well.
const HOPS: u32 = 40;
/// How many steps may be taken to follow all links.
const STEPS: u64 = 5_000_000;

const ROOT: usize = 0;

enum Kind {
    Directory(BTreeMap<Box<[u8]>, usize>),
    File,
    Link(Box<[u8]>),
}

struct Node {
    parent: usize,
    kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    Directory,
    File,
    /// A symbolic link, with what it contains.
    Link(&'a [u8]),
}

/// The entries of an artifact, in any order.
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// One with nothing in it.
    pub fn new() -> Tree {
        Tree { nodes: vec![Node { parent: ROOT, kind: Kind::Directory(BTreeMap::new()) }] }
    }

    /// Adds an entry. A directory may be named any number of times, before or after what it holds.
    ///
    /// # Errors
    /// Why it is refused, to follow its name.
    pub fn add(&mut self, parts: &[&[u8]], entry: Entry) -> Result<(), String> {
        let Some((last, above)) = parts.split_last() else { return Ok(()) };
        let mut folder = ROOT;
        for (depth, part) in above.iter().enumerate() {
            folder = match self.child(folder, part) {
                None => self.insert(folder, part, Kind::Directory(BTreeMap::new()))?,
                Some(next) => {
                    let place = || names::shown(&parts[..=depth].join(&b'/'));
                    match self.nodes[next].kind {
                        Kind::Directory(_) => next,
                        Kind::File => return Err(format!("is below {}, which is a file", place())),
                        Kind::Link(_) => return Err(format!("would be written through the link {}", place())),
                    }
                }
            };
        }
        let Some(there) = self.child(folder, last) else {
            let kind = match entry {
                Entry::Directory => Kind::Directory(BTreeMap::new()),
                Entry::File => Kind::File,
                Entry::Link(to) => Kind::Link(to.into()),
            };
            return self.insert(folder, last, kind).map(drop);
        };
        match (&self.nodes[there].kind, entry) {
            (Kind::Directory(_), Entry::Directory) => Ok(()),
            (Kind::Directory(_), _) | (_, Entry::Directory) => Err("is both a directory and something else".to_owned()),
            _ => Err("is there twice".to_owned()),
        }
    }

    /// What was added at this path.
    pub fn find(&self, parts: &[&[u8]]) -> Option<Entry<'_>> {
        let node = parts.iter().try_fold(ROOT, |folder, part| self.child(folder, part))?;
        Some(match &self.nodes[node].kind {
            Kind::Directory(_) => Entry::Directory,
            Kind::File => Entry::File,
            Kind::Link(to) => Entry::Link(to),
        })
    }

    fn child(&self, folder: usize, name: &[u8]) -> Option<usize> {
        match &self.nodes[folder].kind {
            Kind::Directory(names) => names.get(name).copied(),
            _ => None,
        }
    }

    fn insert(&mut self, folder: usize, name: &[u8], kind: Kind) -> Result<usize, String> {
        let node = self.nodes.len();
        if node > MOST {
            return Err(format!("is one too many: an artifact may have {MOST} files and directories"));
        }
        self.nodes.push(Node { parent: folder, kind });
        if let Kind::Directory(names) = &mut self.nodes[folder].kind {
            names.insert(name.into(), node);
        }
        Ok(node)
    }

    /// The paths of directories with nothing in them, given to `each`; and the links that lead out, as errors.
    ///
    /// # Errors
    /// The first link that leads out, by its name.
    pub fn walk(&self, outside_links: bool, each: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        let mut steps = 0;
        let mut todo: Vec<(usize, Vec<u8>)> = vec![(ROOT, Vec::new())];
        while let Some((node, path)) = todo.pop() {
            match &self.nodes[node].kind {
                Kind::File => {}
                Kind::Link(to) => {
                    let led = if outside_links { Ok(()) } else { self.follow(self.nodes[node].parent, to, &mut steps) };
                    led.map_err(|why| format!("the link {}, to {}, {why}", names::shown(&path), names::shown(to)))?;
                }
                Kind::Directory(names) if names.is_empty() => each(&path),
                Kind::Directory(names) => todo.extend(names.iter().rev().map(|(name, child)| {
                    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    (*child, [&path, slash, name].concat())
                })),
            }
        }
        Ok(())
    }

    /// Follows a link that lies in a directory, through other links as well. It may lead to what is not there (yet).
    fn follow(&self, folder: usize, to: &[u8], steps: &mut u64) -> Result<(), &'static str> {
        let (mut here, mut hops) = (folder, 0);
        // How far below `here` the path has gone where there is nothing.
        let mut missing = 0_usize;
        let mut rest: Vec<&[u8]> = Vec::new();
        let absolute = |to: &[u8]| to.first() == Some(&b'/');
        if absolute(to) {
            return Err("leads out of the artifact");
        }
        rest.extend(to.split(|byte| *byte == b'/').rev());
        while let Some(part) = rest.pop() {
            *steps += 1;
            if *steps > STEPS {
                return Err("is one of too many links that lead through each other");
            }
            match part {
                b"" | b"." => {}
                b".." if missing > 0 => missing -= 1,
                b".." if here == ROOT => return Err("leads out of the artifact"),
                b".." => here = self.nodes[here].parent,
                _ if names::is_git_directory(part) => return Err("leads into git's own directory"),
                _ if missing > 0 => missing += 1,
                name => match self.child(here, name) {
                    None => missing = 1,
                    Some(next) => match &self.nodes[next].kind {
                        Kind::Directory(_) => here = next,
                        Kind::File => missing = 1,
                        Kind::Link(_) if hops == HOPS => return Ok(()),
                        Kind::Link(to) if absolute(to) => return Err("leads out of the artifact through another link"),
                        Kind::Link(to) => {
                            hops += 1;
                            rest.extend(to.split(|byte| *byte == b'/').rev());
                        }
                    },
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Entry)]) -> Result<Tree, String> {
        let mut tree = Tree::new();
        for (path, entry) in entries {
            tree.add(&names::parts(path.as_bytes()).unwrap(), *entry)?;
        }
        Ok(tree)
    }

    fn link(to: &str) -> Entry<'_> {
        Entry::Link(to.as_bytes())
    }

    #[test]
    fn entries_in_each_others_way_are_refused_in_any_order() {
        let cases: [(&[(&str, Entry)], &str); 7] = [
            (&[("a", Entry::File), ("a", Entry::File)], "twice"),
            (&[("a", Entry::File), ("./a", link("b"))], "twice"),
            (&[("a", Entry::File), ("a/b", Entry::File)], "below \"a\", which is a file"),
            (&[("a/b", Entry::File), ("a", Entry::File)], "both a directory"),
            (&[("x/a", link("/etc")), ("x/a/b", Entry::File)], "through the link \"x/a\""),
            (&[("x/a/b", Entry::File), ("x/a", link("/etc"))], "both a directory"),
            (&[("a", Entry::File), ("a", Entry::Directory)], "both a directory"),
        ];
        for (entries, why) in cases {
            let error = tree(entries).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
        let fine = [("a/b", Entry::File), ("a", Entry::Directory), ("a/", Entry::Directory), ("c", Entry::Directory)];
        let mut empty = Vec::new();
        tree(&fine).unwrap().walk(false, &mut |path| empty.push(path.to_owned())).unwrap();
        assert_eq!(empty, [b"c"]);
    }

    #[test]
    fn links_that_lead_out_are_refused_also_through_others() {
        let out: [&[(&str, Entry)]; 7] = [
            &[("a", link("/etc/passwd"))],
            &[("d/a", link("../../x"))],
            &[("d/a", link("../e/../../x"))],
            &[("up", link("d/e")), ("d/e", link("..")), ("x", link("up/../../y"))],
            &[("here", link(".")), ("x", link("here/here/../y"))],
            &[("d/x", link("nothing/../../../y"))],
            &[("x", link("sub/.git/config"))],
        ];
        for entries in out {
            let error = tree(entries).unwrap().walk(false, &mut |_| {}).unwrap_err();
            assert!(error.contains("leads"), "{error}");
            tree(entries).unwrap().walk(true, &mut |_| {}).unwrap();
        }
        let within: [&[(&str, Entry)]; 5] = [
            &[("d/e/a", link("../../x"))],
            &[("a", link("a"))],
            &[("a", link("b")), ("b", link("a"))],
            &[("lib", link("lib64")), ("lib64/so", link("so.1")), ("lib64/so.1", Entry::File)],
            &[("d/x", link("nothing/at/all/../../../../y"))],
        ];
        for entries in within {
            tree(entries).unwrap().walk(false, &mut |_| {}).unwrap();
        }
    }

    #[test]
    fn of_more_than_a_million_entries_the_first_one_too_many_is_refused() {
        let mut tree = tree(&[("a", Entry::File)]).unwrap();
        tree.nodes.resize_with(MOST, || Node { parent: ROOT, kind: Kind::File });
        tree.add(&[b"b"], Entry::File).unwrap();
        assert!(tree.add(&[b"c"], Entry::File).unwrap_err().contains("one too many"));
    }

    #[test]
    fn links_that_multiply_each_other_end_in_time() {
        let mut tree = Tree::new();
        for level in 0..30 {
            let to = format!("l{}/", level + 1).repeat(600);
            for copy in 0..200 {
                tree.add(&[format!("l{level}{}", "x".repeat(copy)).as_bytes()], Entry::Link(to.as_bytes())).unwrap();
            }
        }
        let _ = tree.walk(false, &mut |_| {});
    }
}

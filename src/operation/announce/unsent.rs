//! What hooks were not told, for people.

use indexmap::IndexSet;

use crate::hooks::Unsent;

/// One sentence on all of it; `None`: everything was sent.
pub fn told(unsent: &[Unsent]) -> Option<String> {
    let mut hooks: Vec<(&str, Vec<&Unsent>)> = Vec::new();
    for one in unsent {
        match hooks.iter_mut().find(|(hook, _)| *hook == one.hook) {
            Some((_, of_hook)) => of_hook.push(one),
            None => hooks.push((&one.hook, vec![one])),
        }
    }
    let of_hook = |(hook, unsent): (&str, Vec<&Unsent>)| {
        let events: IndexSet<&str> = unsent.iter().map(|one| one.event.name()).collect();
        let reason = unsent.first().map(|one| one.reason.as_str()).unwrap_or_default();
        format!("hook {hook} was not told {} ({reason})", events.into_iter().collect::<Vec<_>>().join(", "))
    };
    (!hooks.is_empty()).then(|| hooks.into_iter().map(of_hook).collect::<Vec<_>>().join("; "))
}

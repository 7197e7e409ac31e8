//! What is wrong, gathered: a command that deploys stops at the first mistake, `hoist check-config` shows all of them.

use std::collections::HashSet;

use crate::problem::Problem;

use super::Note;

/// Mistakes and remarks, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    /// What was found, without the places that were looked at: what several environments share is told once, though
    /// each of them looked in its own folder too.
    told: HashSet<Problem>,
    mistakes: usize,
    /// Whether to look at what only a deployment would stumble over: files that keys and checks name.
    pub thorough: bool,
    /// The environment that is read beside others: what is wrong only there says so.
    environment: Option<String>,
}

impl Problems {
    /// For a look at everything.
    pub fn thorough() -> Problems {
        Problems { thorough: true, ..Problems::default() }
    }

    /// What follows is of this environment.
    pub fn in_environment(&mut self, name: &str) {
        self.environment = Some(name.to_owned());
    }

    /// Notes a mistake or a remark; one that is known already is not told again.
    pub fn push(&mut self, mut problem: Problem) {
        self.mistakes += usize::from(problem.is_mistake());
        if self.told.insert(Problem { looked_for: Vec::new(), ..problem.clone() }) {
            if let Some(name) = &self.environment
                && !problem.to_string().contains(&format!("environments/{name}/"))
            {
                problem.message += &format!(" (in the environment {name})");
            }
            self.found.push(problem);
        }
    }

    /// Notes several.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }

    /// The value, or a note of what is wrong.
    pub fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// How many mistakes were noted, those that were known already among them: whether it grows tells whether all went
    /// well in between.
    pub fn mistakes(&self) -> usize {
        self.mistakes
    }

    /// The value and the remarks, unless anything is wrong.
    ///
    /// # Errors
    /// The first mistake.
    pub fn settle<T>(self, value: T) -> Result<(T, Vec<Note>), Problem> {
        let (mistakes, remarks) = self.into_parts();
        match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake),
            None => Ok((value, remarks.into_iter().map(|it| (it.severity, it.to_string())).collect())),
        }
    }

    /// What `read` reads, and the remarks on it, unless anything is wrong.
    ///
    /// # Errors
    /// The first mistake.
    pub fn settled<T>(read: impl FnOnce(&mut Problems) -> T) -> Result<(T, Vec<Note>), Problem> {
        let mut problems = Problems::default();
        let value = read(&mut problems);
        problems.settle(value)
    }

    /// The mistakes, and the remarks.
    pub fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        self.found.into_iter().partition(Problem::is_mistake)
    }
}

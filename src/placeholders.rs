//! Text with variables in it, `{{ name }}`, as addresses, queries and bodies of requests have it.

/// A text, and the places in it that are filled in later. `V` says with what.
#[derive(Debug, Clone, PartialEq)]
pub struct Placeholders<V>(Vec<Part<V>>);

#[derive(Debug, Clone, PartialEq)]
enum Part<V> {
    Text(String),
    Variable(V),
}

impl<V> Placeholders<V> {
    /// Reads a text; `variable` makes of a name what it stands for.
    ///
    /// # Errors
    /// Braces that are not closed, or what `variable` says of a name.
    pub fn parse(text: &str, variable: impl Fn(&str) -> Result<V, String>) -> Result<Placeholders<V>, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, behind) = after.split_once("}}").ok_or("{{ is not closed: write }} after the name")?;
            parts.extend([Part::Text(before.to_owned()), Part::Variable(variable(name.trim())?)]);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Placeholders(parts))
    }

    /// What stands there in fixed letters, with nothing in place of the variables.
    pub fn fixed(&self) -> String {
        self.0.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
    }

    /// The variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &V> {
        self.0.iter().filter_map(|part| if let Part::Variable(variable) = part { Some(variable) } else { None })
    }

    /// The text with each variable filled in.
    pub fn fill(&self, mut of: impl FnMut(&V) -> String) -> String {
        self.0.iter().fold(String::new(), |text, part| match part {
            Part::Text(fixed) => text + fixed,
            Part::Variable(variable) => text + &of(variable),
        })
    }
}

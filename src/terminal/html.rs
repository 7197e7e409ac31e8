//! Text of anybody's in HTML.

use super::sanitize::sanitize;

/// Text in one line, made safe as for a terminal, that can end no element and no attribute.
pub fn html(text: &str) -> String {
    let mut out = String::new();
    for c in sanitize(text, true).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML has no place for them.
            '\u{fdd0}'..='\u{fdef}' => out.push('\u{fffd}'),
            c if (c as u32) & 0xfffe == 0xfffe => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

//! Which methods Python's types have.

use crate::jinja::values::Value;
use crate::jinja::values::object::Object;

/// Python's methods of dictionaries, text and lists. `value.name` is the method, even if there is an entry of that name.
const OF_DICT: &[&str] =
    &["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
const OF_TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const OF_LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const OF_TUPLE: &[&str] = &["count", "index"];
const OF_INT: &[&str] = &["as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "to_bytes"];
const OF_FLOAT: &[&str] = &["as_integer_ratio", "conjugate", "fromhex", "hex", "is_integer"];
const OF_MARKUP: &[&str] = &["striptags", "unescape"];

/// Methods of dictionaries in Python 2, which old templates still call.
pub const OF_OLD_DICT: [&str; 4] = ["has_key", "iteritems", "iterkeys", "itervalues"];

/// Whether the type of `value` has a method of that name in Python.
pub fn there_is(value: &Value, name: &str) -> bool {
    match value {
        Value::Text(_) => OF_TEXT.contains(&name),
        Value::Markup(_) => OF_TEXT.contains(&name) || OF_MARKUP.contains(&name),
        Value::Dict(_) => OF_DICT.contains(&name),
        Value::List(_) => OF_LIST.contains(&name),
        Value::Tuple(_) => OF_TUPLE.contains(&name),
        Value::Int(_) | Value::Bool(_) => OF_INT.contains(&name),
        Value::Float(_) => OF_FLOAT.contains(&name),
        Value::Object(object) => match &**object {
            Object::Range(_) => OF_TUPLE.contains(&name),
            Object::Cycler(..) => ["next", "reset"].contains(&name),
            Object::OfTemplate(it) => it.has_method(name),
            _ => false,
        },
        _ => false,
    }
}

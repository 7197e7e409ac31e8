//! Python's two languages for formats: `'%5.2f' % x`, and `'{:>5}'.format(x)`.

mod field;
pub mod printf;
pub mod str_format;

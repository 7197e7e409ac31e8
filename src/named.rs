//! Enums whose values have names, each written once.

/// Declares an enum of plain values, each with its name. `ALL` has every value in its order; `name` is what
/// configurations, messages and protocols call it. So does it display, and so it is written in JSON.
///
/// `enum Wind: "wind"` is also read from text, and the error calls a value so. `enum Wind => speed: u32` has a property:
/// each value is given its own, `North = "north" => 7`.
macro_rules! named {
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident $(: $what:literal)? => $property:ident: $type:ty {
            $($(#[$doc:meta])* $value:ident = $word:literal => $of:expr),* $(,)?
        }
    ) => {
        $crate::named::named! {
            $(#[$meta])* $vis enum $name $(: $what)? { $($(#[$doc])* $value = $word),* }
        }

        impl $name {
            #[doc = concat!("Its ", stringify!($property), ".")]
            $vis fn $property(self) -> $type {
                match self {
                    $($name::$value => $of,)*
                }
            }
        }
    };
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident: $what:literal {
            $($(#[$doc:meta])* $value:ident = $word:literal),* $(,)?
        }
    ) => {
        $crate::named::named! {
            $(#[$meta])* $vis enum $name { $($(#[$doc])* $value = $word),* }
        }

        impl ::std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                $name::ALL.into_iter().find(|value| value.name() == text).ok_or_else(|| {
                    let known = $crate::text::meant_or_known(text, concat!($what, "s"), &[$($word),*]);
                    format!(concat!("unknown ", $what, " {:?}{}"), text, known)
                })
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$doc])* $value,)*
        }

        impl $name {
            /// Every value, in order.
            $vis const ALL: [$name; [$($word),*].len()] = [$($name::$value),*];

            /// Its name.
            $vis fn name(self) -> &'static str {
                match self {
                    $($name::$value => $word,)*
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let name = <::std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let found = $name::ALL.into_iter().find(|value| value.name() == name);
                found.ok_or_else(|| ::serde::de::Error::unknown_variant(&name, &[$($word),*]))
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    named! {
        enum Wind: "wind" => beaufort: u8 { North = "north wind" => 7, South = "south wind" => 3 }
    }

    #[test]
    fn a_value_is_its_name_in_messages_and_in_json() {
        assert_eq!(Wind::ALL.map(Wind::name), ["north wind", "south wind"]);
        assert_eq!(format!("{:>12}|{}", Wind::North, Wind::South), "  north wind|south wind");
        let speeds = BTreeMap::from([(Wind::South, 3)]);
        let json = serde_json::to_string(&speeds).unwrap();
        assert_eq!(json, r#"{"south wind":3}"#);
        assert_eq!(serde_json::from_str::<BTreeMap<Wind, u32>>(&json).unwrap(), speeds);
        let error = serde_json::from_str::<Wind>(r#""east""#).unwrap_err().to_string();
        assert!(error.contains("unknown variant `east`") && error.contains("north wind"), "{error}");
    }

    #[test]
    fn a_value_is_read_from_its_name_and_has_its_property() {
        assert_eq!("south wind".parse::<Wind>().map(Wind::beaufort), Ok(3));
        assert_eq!(
            "nroth wind".parse::<Wind>(),
            Err("unknown wind \"nroth wind\": did you mean \"north wind\"?".into())
        );
        assert_eq!("west".parse::<Wind>(), Err("unknown wind \"west\"; the winds are north wind, south wind".into()));
    }
}

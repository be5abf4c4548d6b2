//! A value that must never be seen.

use std::fmt;

/// Something that may be used but never printed, logged or serialised.
///
/// `Debug` prints a fixed word, there is no `Display` and no `Serialize`: a secret that should
/// leave the process has to be asked for by name with [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Search for callers of this to see where secrets go.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_in_a_debugged_structure_stays_hidden() {
        let shown = format!("{:?}", Some(Secret::new("canary-8f3a")));
        assert_eq!(shown, "Some([secret])");
    }
}

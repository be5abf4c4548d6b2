//! Permission to do something that cannot be undone.

/// Proof that a person (or `--yes`) agreed to what was shown.
///
/// Every path that writes to a cluster takes one by value, so a path that forgot to ask does
/// not compile. The lint configuration allows [`Confirmed::given`] in `cli::consent` only.
#[derive(Debug)]
#[must_use]
pub struct Confirmed(());

impl Confirmed {
    /// The agreement. Only `cli::consent` may call this.
    pub const fn given() -> Self {
        Self(())
    }
}

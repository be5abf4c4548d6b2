//! Which name was probably meant.

/// The most alike of `names`, if it is at least `alike` (0 to 1) like the one that was written.
pub fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
    alike: f64,
) -> Option<&'a str> {
    let rated = names.into_iter().map(|name| {
        let likeness = strsim::normalized_damerau_levenshtein(name, written);
        (likeness, name)
    });
    rated
        .filter(|(likeness, _)| *likeness >= alike)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

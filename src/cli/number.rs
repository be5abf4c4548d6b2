//! Numbers as people read them.

/// A number with a comma between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped() {
        let shown: Vec<String> = [0, 247, 2470, 1_000_000].map(grouped).into();
        assert_eq!(shown, ["0", "247", "2,470", "1,000,000"]);
    }
}

//! Kubernetes quantities: `500m`, `1Gi`, `1.5`.

/// A quantity in thousandths, so that `500m` is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Quantity(i128);

const SUFFIXES: &[(&str, i128)] = &[
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
];

impl Quantity {
    /// From text; `None` if it is no quantity or finer than a thousandth.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = match text.strip_suffix('m') {
            Some(number) => (number, 1),
            None => SUFFIXES
                .iter()
                .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor * 1000)))
                .unwrap_or((text, 1000)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.len() + fraction.len() == 0
            || whole.len() + fraction.len() > 18
            || !is_number(whole)
            || !is_number(fraction)
        {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let scaled = digits * unit;
        (scaled % scale == 0).then_some(Self(scaled / scale))
    }

    /// That many times as much.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0 * i128::from(count))
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// What is left of this, at least nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        if other.0 >= self.0 {
            Self(0)
        } else {
            Self(self.0 - other.0)
        }
    }

    /// The whole number, rounded up: bytes, for a quantity of memory.
    pub fn whole(self) -> u64 {
        u64::try_from((self.0 + 999) / 1000).unwrap_or(u64::MAX)
    }

    /// As Kubernetes writes it: with the largest binary unit that leaves a whole number.
    pub fn canonical(self) -> String {
        if self.0 % 1000 != 0 {
            return format!("{}m", self.0);
        }
        let whole = self.0 / 1000;
        let unit = SUFFIXES[..5]
            .iter()
            .rev()
            .find(|(_, factor)| whole != 0 && whole % factor == 0);
        match unit {
            Some((suffix, factor)) => format!("{}{suffix}", whole / factor),
            None => whole.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_are_read_exactly() {
        let thousandths = |text| Quantity::parse(text).map(|quantity| quantity.0);
        assert_eq!(thousandths("500m"), Some(500));
        assert_eq!(thousandths("1.5"), Some(1500));
        assert_eq!(thousandths("1Gi"), Some(1000 << 30));
        assert_eq!(thousandths("0.5Mi"), Some(500 << 20));
        assert_eq!(thousandths("0.0001"), None);
        assert_eq!(thousandths("lots"), None);
        assert_eq!(thousandths(""), None);
        assert_eq!(thousandths("Gi"), None);
    }

    #[test]
    fn they_are_written_as_kubernetes_writes_them() {
        let canonical = |text| Quantity::parse(text).map(Quantity::canonical);
        assert_eq!(canonical("1000m").as_deref(), Some("1"));
        assert_eq!(canonical("1536Mi").as_deref(), Some("1536Mi"));
        assert_eq!(canonical("1024Mi").as_deref(), Some("1Gi"));
        assert_eq!(canonical("0").as_deref(), Some("0"));
    }
}

//! Which column means what, told by the header.

use std::path::Path;

use super::wide::{self, Wide};

/// The long form of the DCGM export: name, other names that mean the same, whether it has to be
/// there. Compared without regard to case.
pub(super) const COLUMNS: [(&str, &[&str], Need); 12] = [
    ("timestamp", &["time"], Need::Required),
    ("metric_name", &["metric"], Need::Required),
    ("gpu_id", &["gpu"], Need::Required),
    ("device", &[], Need::Optional),
    ("uuid", &["gpu_uuid"], Need::Required),
    ("modelName", &["model_name", "model"], Need::Optional),
    ("Hostname", &["host"], Need::Required),
    ("container", &[], Need::Optional),
    ("pod", &[], Need::Optional),
    ("namespace", &[], Need::Optional),
    ("value", &[], Need::Required),
    ("labels_raw", &["labels"], Need::Optional),
];

/// Whether a file can do without a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// The form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A record is one value of one metric.
    Long(Layout),
    /// A record has a column for each metric.
    Wide(Wide),
}

impl Form {
    /// How many fields every record has.
    pub(super) const fn fields(&self) -> usize {
        match self {
            Self::Long(layout) => layout.fields,
            Self::Wide(wide) => wide.fields,
        }
    }
}

/// Positions of the columns, in the order of [`COLUMNS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many fields every record has.
    pub(super) fields: usize,
    pub(super) timestamp: usize,
    pub(super) metric: usize,
    pub(super) gpu_id: usize,
    pub(super) device: Option<usize>,
    pub(super) uuid: usize,
    pub(super) model: Option<usize>,
    pub(super) host: usize,
    pub(super) container: Option<usize>,
    pub(super) pod: Option<usize>,
    pub(super) namespace: Option<usize>,
    pub(super) value: usize,
    pub(super) labels_raw: Option<usize>,
}

/// A header that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// There is nothing in the file.
    #[error("`{path}:1`: the file is empty, a header with column names is expected")]
    Empty {
        /// The file.
        path: String,
    },
    /// A column is missing.
    #[error("`{path}:{line}`: column `{column}` is missing{}", similar(.nearest))]
    MissingColumn {
        /// The file.
        path: String,
        /// Line of the header, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// A column of the file that may be meant.
        nearest: Option<String>,
    },
    /// Two columns have one meaning.
    #[error("`{path}:{line}`: columns {first} and {second} both mean `{column}`")]
    DuplicateColumn {
        /// The file.
        path: String,
        /// Line of the header, from 1.
        line: u64,
        /// What they mean.
        column: String,
        /// Position of the first, from 1.
        first: usize,
        /// Position of the second, from 1.
        second: usize,
    },
    /// A column of the wide form is in another unit than its metric.
    #[error(
        "`{path}:{line}`: column `{column}` has another unit than `{expected}`, in which this \
             metric is kept"
    )]
    Unit {
        /// The file.
        path: String,
        /// Line of the header, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The unit; empty for none.
        expected: String,
    },
    /// More columns of the wide form than a record may become rows.
    #[error("`{path}:{line}`: {metrics} metrics in one record, at most {limit} are accepted")]
    ManyMetrics {
        /// The file.
        path: String,
        /// Line of the header, from 1.
        line: u64,
        /// How many.
        metrics: usize,
        /// How many may be.
        limit: usize,
    },
    /// It is not a record of CSV.
    #[error("`{path}:{line}`: the header cannot be read: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Line of the header, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
}

fn similar(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(" (the file has `{name}`)"))
        .unwrap_or_default()
}

/// What a file looks like, told by its header: it is in the wide form if it has columns for metrics,
/// and none for the name of a metric.
pub(super) fn form(names: &[String], path: &Path, line: u64) -> Result<Form, HeaderError> {
    let metric_name = &COLUMNS[1];
    let is_long = names.iter().any(|name| is_for(metric_name, name));
    if !is_long && let Some(wide) = wide::layout(names, path, line)? {
        return Ok(Form::Wide(wide));
    }
    layout(names, path, line).map(Form::Long)
}

/// Whether a column has the name, or one of the other names, of what it is for.
pub(super) fn is_for((column, others, _): &(&str, &[&str], Need), name: &str) -> bool {
    let mut accepted = others.iter().chain([column]);
    accepted.any(|known| known.eq_ignore_ascii_case(name.trim()))
}

/// Where the columns of a header are.
pub(super) fn positions<const COUNT: usize>(
    columns: &[(&'static str, &[&str], Need); COUNT],
    names: &[String],
    path: &Path,
    line: u64,
) -> Result<[Option<usize>; COUNT], HeaderError> {
    let path = || path.display().to_string();
    let mut found = [None; COUNT];
    for (slot, column) in found.iter_mut().zip(columns) {
        let mut positions = names.iter().enumerate().filter_map(|(position, name)| {
            let matches = is_for(column, name);
            matches.then_some(position)
        });
        let (column, _, need) = *column;
        *slot = positions.next();
        if let (Some(first), Some(second)) = (*slot, positions.next()) {
            return Err(HeaderError::DuplicateColumn {
                path: path(),
                line,
                column: column.to_owned(),
                first: first + 1,
                second: second + 1,
            });
        }
        if slot.is_none() && need == Need::Required {
            return Err(HeaderError::MissingColumn {
                path: path(),
                line,
                column,
                nearest: nearest(column, names),
            });
        }
    }
    Ok(found)
}

/// Finds the columns of the long form in a header.
fn layout(names: &[String], path: &Path, line: u64) -> Result<Layout, HeaderError> {
    let [
        timestamp,
        metric,
        gpu_id,
        device,
        uuid,
        model,
        host,
        container,
        pod,
        namespace,
        value,
        labels_raw,
    ] = positions(&COLUMNS, names, path, line)?;
    let required = |position: Option<usize>| position.unwrap_or(usize::MAX);
    Ok(Layout {
        fields: names.len(),
        timestamp: required(timestamp),
        metric: required(metric),
        gpu_id: required(gpu_id),
        device,
        uuid: required(uuid),
        model,
        host: required(host),
        container,
        pod,
        namespace,
        value: required(value),
        labels_raw,
    })
}

/// The column of the file whose name is most like the missing one, if it is like it at all.
fn nearest(column: &str, names: &[String]) -> Option<String> {
    let column = column.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&column, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|first, second| first.0.total_cmp(&second.0))
        .map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_case() {
        let header = names("VALUE,extra,uuid,Metric_Name,gpu,hostname,Timestamp");
        let layout = layout(&header, Path::new("a.csv"), 1).unwrap();
        assert_eq!((layout.value, layout.uuid, layout.timestamp), (0, 2, 6));
        assert_eq!(
            (layout.host, layout.labels_raw, layout.fields),
            (5, None, 7)
        );
    }

    #[test]
    fn a_missing_column_is_named_with_the_nearest_name_and_the_place() {
        let header = names("timestamp,metric_name,gpu_id,uid,Hostname,value");
        let error = layout(&header, Path::new("dir/a.csv"), 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`dir/a.csv:3`: column `uuid` is missing (the file has `uid`)"
        );
        let header = names("timestamp,metric_name,gpu_id,uuid,Hostname,value,Value");
        let error = layout(&header, Path::new("a.csv"), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a.csv:1`: columns 6 and 7 both mean `value`"
        );
    }
}

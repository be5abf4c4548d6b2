//! How a report travels in a log among other lines.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::result::{ProbeReport, SCHEMA_VERSION};

/// Why a log holds no report.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// There is no frame, or only a part of one.
    #[error("the log holds no complete report")]
    Missing,
    /// The frame's content is no report.
    #[error("the report cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// It was written by a newer version.
    #[error("the report has schema version {found}, and this telectl reads {known}")]
    Newer {
        /// Version of the report.
        found: u32,
        /// Newest version that this program reads.
        known: u32,
    },
}

/// One kind of report.
pub(super) struct Frame {
    /// What stands in the marker lines.
    pub(super) title: &'static str,
    /// The newest schema version that this program reads.
    pub(super) newest: u32,
}

const PROBE: Frame = Frame {
    title: "TELECTL PROBE REPORT",
    newest: SCHEMA_VERSION,
};

impl Frame {
    fn begin(&self) -> String {
        format!("-----BEGIN {}-----", self.title)
    }

    fn end(&self) -> String {
        format!("-----END {}-----", self.title)
    }

    /// The report as one JSON line between two marker lines.
    pub(super) fn encode(&self, report: &impl Serialize) -> Result<String, serde_json::Error> {
        let line = serde_json::to_string(report)?;
        Ok(format!("{}\n{line}\n{}\n", self.begin(), self.end()))
    }

    /// The last complete report in a log.
    pub(super) fn decode<T: DeserializeOwned>(&self, log: &str) -> Result<T, FrameError> {
        let begin = self.begin();
        let before_end = log.rfind(&self.end()).map(|end| &log[..end]);
        let body = before_end
            .and_then(|text| text.rfind(&begin).map(|at| &text[at + begin.len()..]))
            .ok_or(FrameError::Missing)?;
        let value: serde_json::Value =
            serde_json::from_str(body.trim()).map_err(FrameError::Malformed)?;
        let version = value
            .get("schema_version")
            .and_then(serde_json::Value::as_u64)
            .and_then(|version| u32::try_from(version).ok())
            .unwrap_or_default();
        if version > self.newest {
            return Err(FrameError::Newer {
                found: version,
                known: self.newest,
            });
        }
        serde_json::from_value(value).map_err(FrameError::Malformed)
    }
}

/// A probe's report as it stands in a log.
///
/// # Errors
/// When the report cannot be written as JSON.
pub fn encode(report: &ProbeReport) -> Result<String, serde_json::Error> {
    PROBE.encode(report)
}

/// The last complete report of a probe in a log.
///
/// # Errors
/// When there is none, or when it cannot be read.
pub fn decode(log: &str) -> Result<ProbeReport, FrameError> {
    PROBE.decode(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::component::Component;

    fn report() -> ProbeReport {
        ProbeReport {
            schema_version: SCHEMA_VERSION,
            component: Component::Streamer,
            version: "0.1.0".to_owned(),
            cluster_id: Some("edge".to_owned()),
            pod: None,
            node: None,
            targets: Vec::new(),
            registrations: Some(Vec::new()),
            elapsed_ms: 1.5,
        }
    }

    #[test]
    fn v19_a_report_survives_noise_around_it() {
        let framed = encode(&report()).unwrap();
        let log = format!("WARN something\n{framed}{{\"level\":\"info\"}}\n");
        assert_eq!(decode(&log).unwrap(), report());
    }

    #[test]
    fn half_a_report_and_a_newer_one_are_told_apart() {
        let framed = encode(&report()).unwrap();
        let half = framed.split(&PROBE.end()).next().unwrap();
        assert!(matches!(decode(half), Err(FrameError::Missing)));
        let newer = framed.replace("\"schema_version\":1", "\"schema_version\":9");
        assert!(matches!(
            decode(&newer),
            Err(FrameError::Newer { found: 9, .. })
        ));
    }
}

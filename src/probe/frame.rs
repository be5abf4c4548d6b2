//! How a report travels in a log among other lines.

use super::result::{ProbeReport, SCHEMA_VERSION};

const BEGIN: &str = "-----BEGIN TELECTL PROBE REPORT-----";
const END: &str = "-----END TELECTL PROBE REPORT-----";

/// Why a log holds no report.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// There is no frame, or only a part of one.
    #[error("the log holds no complete probe report")]
    Missing,
    /// The frame's content is no report.
    #[error("the probe report cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// It was written by a newer version.
    #[error("the probe report has schema version {0}, and this telectl reads {SCHEMA_VERSION}")]
    Newer(u32),
}

/// The report as one JSON line between two marker lines.
///
/// # Errors
/// When the report cannot be written as JSON.
pub fn encode(report: &ProbeReport) -> Result<String, serde_json::Error> {
    Ok(format!(
        "{BEGIN}\n{}\n{END}\n",
        serde_json::to_string(report)?
    ))
}

/// The last complete report in a log.
///
/// # Errors
/// When there is none, or when it cannot be read.
pub fn decode(log: &str) -> Result<ProbeReport, FrameError> {
    let before_end = log.rfind(END).map(|end| &log[..end]);
    let body = before_end
        .and_then(|text| text.rfind(BEGIN).map(|begin| &text[begin + BEGIN.len()..]))
        .ok_or(FrameError::Missing)?;
    let value: serde_json::Value =
        serde_json::from_str(body.trim()).map_err(FrameError::Malformed)?;
    let version = value
        .get("schema_version")
        .and_then(serde_json::Value::as_u64)
        .and_then(|version| u32::try_from(version).ok())
        .unwrap_or_default();
    if version > SCHEMA_VERSION {
        return Err(FrameError::Newer(version));
    }
    serde_json::from_value(value).map_err(FrameError::Malformed)
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
        let half = framed.split(END).next().unwrap();
        assert!(matches!(decode(half), Err(FrameError::Missing)));
        let newer = framed.replace("\"schema_version\":1", "\"schema_version\":9");
        assert!(matches!(decode(&newer), Err(FrameError::Newer(9))));
    }
}

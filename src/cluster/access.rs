//! What an API server says about itself and about what the user may do there. Nothing is stored:
//! reviews are questions, although they are sent by POST.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::Cluster;
use super::error::ClusterError;
use super::rights::{Question, Rules};

/// The first answer of an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Its version, for example `v1.34.4`.
    pub version: String,
    /// The time by its clock, in whole seconds, if it said so.
    pub date: Option<Timestamp>,
    /// When it was asked, by the clock here.
    pub asked: Timestamp,
    /// When the answer was here.
    pub answered: Timestamp,
}

impl Cluster {
    /// Asks for version and time.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn greet(&self) -> Result<Greeting, ClusterError> {
        let request = http::Request::get("/version").body(kube::client::Body::empty());
        let request = request.map_err(|error| self.malformed("asking for the version", error))?;
        let work = async {
            let asked = Timestamp::now();
            let answer = self.raw().send(request).await?;
            let answered = Timestamp::now();
            let date = answer.headers().get(http::header::DATE);
            let date = date.and_then(|date| date.to_str().ok());
            let date = date.and_then(parse_date);
            let status = answer.status().as_u16();
            let body = answer.into_body().collect_bytes().await?;
            Ok((asked, answered, date, status, body))
        };
        let action = "asking for the version";
        let (asked, answered, date, status, body) = self.request(action, work).await?;
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(version) = said["gitVersion"].as_str() else {
            return Err(ClusterError::Refused {
                cluster: self.name().to_owned(),
                action: action.to_owned(),
                code: status,
                reason: said["reason"].as_str().unwrap_or("Unknown").to_owned(),
                message: said["message"]
                    .as_str()
                    .unwrap_or("the answer names no version")
                    .to_owned(),
            });
        };
        Ok(Greeting {
            version: version.to_owned(),
            date,
            asked,
            answered,
        })
    }

    /// The rules that hold for the user in a namespace, whether it exists or not.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub async fn rules(&self, namespace: &str) -> Result<Rules, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let action = format!("asking for the rules in {namespace}");
        Ok(Rules::from_review(
            &self.review(path, &action, &review).await?,
        ))
    }

    /// Whether the user may do this.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub async fn may(&self, question: &Question) -> Result<bool, ClusterError> {
        let (resource, subresource) = question.parts();
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": question.group,
                "resource": resource,
                "subresource": subresource,
                "verb": question.verb,
                "namespace": question.namespace,
                "name": question.name,
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let action = format!("asking whether one may {} {resource}", question.verb);
        let answer = self.review(path, &action, &review).await?;
        Ok(answer["status"]["allowed"] == true)
    }

    /// The groups with their versions that are served, such as `apps/v1`; the core group is left
    /// out: every server has it.
    ///
    /// # Errors
    /// As [`Self::greet`].
    pub async fn served(&self) -> Result<BTreeSet<String>, ClusterError> {
        let action = "asking for the API groups";
        let groups = self.request(action, self.raw().list_api_groups()).await?;
        let versions = groups.groups.into_iter().flat_map(|group| group.versions);
        Ok(versions.map(|version| version.group_version).collect())
    }

    async fn review(&self, path: &str, action: &str, body: &Value) -> Result<Value, ClusterError> {
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|error| self.malformed(action, error))?;
        self.request(action, self.raw().request(request)).await
    }

    fn malformed(&self, action: &str, error: http::Error) -> ClusterError {
        ClusterError::Refused {
            cluster: self.name().to_owned(),
            action: action.to_owned(),
            code: 0,
            reason: "malformed".to_owned(),
            message: error.to_string(),
        }
    }
}

/// A date as HTTP has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_date(text: &str) -> Option<Timestamp> {
    let rfc2822 = text
        .strip_suffix("GMT")
        .map(|text| format!("{text}+0000"))?;
    jiff::fmt::rfc2822::parse(&rfc2822)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let date = parse_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(parse_date("yesterday"), None);
    }
}

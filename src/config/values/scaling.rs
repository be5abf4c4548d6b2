//! How many replicas there may be, and must be.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Autoscalers of the workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Whether there are any.
    pub enabled: bool,
    /// Fewest replicas.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
    /// Average use of the CPU request to aim at, in percent.
    #[serde(rename = "targetCPUUtilizationPercentage")]
    pub target_cpu: Option<u32>,
    /// Average use of the memory request to aim at, in percent.
    #[serde(rename = "targetMemoryUtilizationPercentage")]
    pub target_memory: Option<u32>,
    /// Stabilisation and policies, as Kubernetes has them.
    #[serde(default)]
    pub behavior: Map<String, Value>,
}

/// What one worker overrides; `None` inherits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalingOverride {
    /// Whether there is an autoscaler.
    pub enabled: Option<bool>,
    /// Fewest replicas.
    pub min_replicas: Option<u32>,
    /// Most replicas.
    pub max_replicas: Option<u32>,
    /// Average use of the CPU request to aim at, in percent.
    #[serde(rename = "targetCPUUtilizationPercentage")]
    pub target_cpu: Option<u32>,
    /// Average use of the memory request to aim at, in percent.
    #[serde(rename = "targetMemoryUtilizationPercentage")]
    pub target_memory: Option<u32>,
    /// Stabilisation and policies; empty inherits.
    pub behavior: Map<String, Value>,
}

impl Autoscaling {
    /// The settings of one worker.
    #[must_use]
    pub fn overridden(&self, own: &AutoscalingOverride) -> Self {
        Self {
            enabled: own.enabled.unwrap_or(self.enabled),
            min_replicas: own.min_replicas.unwrap_or(self.min_replicas),
            max_replicas: own.max_replicas.unwrap_or(self.max_replicas),
            target_cpu: own.target_cpu.or(self.target_cpu),
            target_memory: own.target_memory.or(self.target_memory),
            behavior: if own.behavior.is_empty() {
                self.behavior.clone()
            } else {
                own.behavior.clone()
            },
        }
    }
}

/// Disruption budgets of the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Whether there are any.
    pub enabled: bool,
    /// Fewest pods that stay during a drain; a number or a percentage.
    pub min_available: Option<IntOrString>,
    /// Most pods that a drain may take; beats `min_available`.
    pub max_unavailable: Option<IntOrString>,
}

/// What one worker overrides; `None` inherits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetOverride {
    /// Whether there is a budget.
    pub enabled: Option<bool>,
    /// Fewest pods that stay during a drain.
    pub min_available: Option<IntOrString>,
    /// Most pods that a drain may take.
    pub max_unavailable: Option<IntOrString>,
}

impl Budget {
    /// The settings of one worker. Its own count, of whichever kind, replaces the common one.
    #[must_use]
    pub fn overridden(&self, own: &BudgetOverride) -> Self {
        let enabled = own.enabled.unwrap_or(self.enabled);
        let (min_available, max_unavailable) =
            if own.min_available.is_some() || own.max_unavailable.is_some() {
                (own.min_available.clone(), own.max_unavailable.clone())
            } else {
                (self.min_available.clone(), self.max_unavailable.clone())
            };
        Self {
            enabled,
            min_available: min_available.filter(|_| max_unavailable.is_none()),
            max_unavailable,
        }
    }
}

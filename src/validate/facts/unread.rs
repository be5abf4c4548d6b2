//! Lists that could not be read: what would stand in them is unknown, which is not the same as
//! absent.

use super::Objects;

/// A list of a namespace's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Deployments.
    Deployments,
    /// StatefulSets.
    StatefulSets,
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// EndpointSlices.
    EndpointSlices,
    /// NetworkPolicies.
    NetworkPolicies,
    /// Autoscalers.
    Autoscalers,
    /// The ConfigMaps in which telectl notes what it deployed.
    Records,
}

impl Listing {
    /// The lists that workloads stand in.
    pub const WORKLOADS: [Self; 2] = [Self::Deployments, Self::StatefulSets];

    /// The lists without which nobody knows the pods of a component.
    pub const COMPONENT_PODS: [Self; 3] = [Self::Deployments, Self::StatefulSets, Self::Pods];

    /// The resource as kubectl and roles name it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Deployments => "deployments.apps",
            Self::StatefulSets => "statefulsets.apps",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices.discovery.k8s.io",
            Self::NetworkPolicies => "networkpolicies.networking.k8s.io",
            Self::Autoscalers => "horizontalpodautoscalers.autoscaling",
            Self::Records => "configmaps",
        }
    }

    /// What one has to be allowed to do.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Records => "get",
            _ => "list",
        }
    }
}

/// A list that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Which.
    pub listing: Listing,
    /// Of which namespace.
    pub namespace: String,
    /// Why, in the words of the API server where it has some.
    pub why: String,
}

impl Unread {
    /// What is not known, in a few words.
    pub fn what(&self) -> String {
        format!("{} of {}", self.listing.resource(), self.namespace)
    }
}

impl Objects {
    /// The first of these lists that could not be read in some namespace.
    pub fn unread(&self, listings: &[Listing]) -> Option<&Unread> {
        let mut unread = self.unread.iter();
        unread.find(|one| listings.contains(&one.listing))
    }

    /// The first of these lists that could not be read in this namespace.
    pub fn unread_in(&self, listings: &[Listing], namespace: &str) -> Option<&Unread> {
        let mut unread = self.unread.iter();
        unread.find(|one| listings.contains(&one.listing) && one.namespace == namespace)
    }
}

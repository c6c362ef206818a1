//! Refuses kernels that the bindings do not serve, each with a reason.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::features::Features;
use crate::source::XmlDialect;

/// The reason why a configuration cannot be served, if there is one.
pub(crate) fn reason_against(config: &Config) -> Option<String> {
    let reason = if config.is_on("KERNEL_MCS") {
        "it is an MCS kernel, whose API differs; build it with KernelIsMCS=OFF"
    } else if config.number("MAX_NUM_NODES").is_some_and(|nodes| nodes > 1)
        || config.is_on("ENABLE_SMP_SUPPORT")
    {
        "it is built for several cores; Umbriel's argument about stale translations holds on one \
         core, so build it with KernelMaxNumNodes=1"
    } else if config.is_on("SYSENTER") {
        "it is entered by SYSENTER; build it with KernelX86SyscallMode=SYSCALL"
    } else if !config.is_on("SYSCALL") {
        "its configuration names no system call instruction (SYSCALL)"
    } else if !config.is_on("ARCH_X86_64") {
        "it is not built for x86_64"
    } else {
        return None;
    };
    Some(reason.into())
}

/// The reason why a combination of features cannot be served, if there is one.
///
/// Releases between 5.0.0 and 13.0.0 have the older file names but a later API; they cannot be
/// installed into a prefix and nobody has tried them.
pub(crate) fn reason_against_features(
    dialect: XmlDialect,
    features: &Features,
    labels: &BTreeMap<String, u64>,
) -> Option<String> {
    let old_api =
        features.page_remap && !features.io_port_control && features.configure_has_priority;
    let new_api = !features.page_remap
        && features.io_port_control
        && !features.configure_has_priority
        && features.priority_needs_authority;
    match dialect {
        XmlDialect::Strings if !old_api => {
            Some("it is a release between 5.0.0 and 13.0.0; use 5.0.0, or 13.0.0 and later".into())
        }
        XmlDialect::Elements if !new_api => Some(format!(
            "its API is neither that of 5.0.0 nor that of 13.0.0 and later ({} invocations)",
            labels.len()
        )),
        _ => None,
    }
}

//! Numbers and sizes of kernel objects as a function of the configuration.
//!
//! They stand in C headers only, behind `#ifdef`s, so they are computed here; a test compares them
//! with what a C compiler makes of the headers of a built kernel.

use crate::config::Config;
use crate::source::XmlDialect;

/// Type numbers for `Untyped_Retype`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the number of the object it names")]
pub struct ObjectTypes {
    pub untyped: u64,
    pub tcb: u64,
    pub endpoint: u64,
    pub notification: u64,
    pub cnode: u64,
    pub pdpt: u64,
    pub pml4: u64,
    /// A 1 GiB page, only with `HUGE_PAGE`.
    pub huge_page: Option<u64>,
    pub page_4k: u64,
    pub large_page: u64,
    pub page_table: u64,
    pub page_directory: u64,
}

impl ObjectTypes {
    /// The numbers of a kernel without MCS.
    pub fn of(config: &Config) -> Self {
        let huge = u64::from(config.is_on("HUGE_PAGE"));
        Self {
            untyped: 0,
            tcb: 1,
            endpoint: 2,
            notification: 3,
            cnode: 4,
            pdpt: 5,
            pml4: 6,
            huge_page: (huge == 1).then_some(7),
            page_4k: 7 + huge,
            large_page: 8 + huge,
            page_table: 9 + huge,
            page_directory: 10 + huge,
        }
    }
}

/// Sizes as powers of two, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the size in bits of the object it names")]
pub struct ObjectSizes {
    /// One slot of a CNode.
    pub slot: u64,
    pub tcb: u64,
    pub endpoint: u64,
    pub notification: u64,
}

impl ObjectSizes {
    /// The sizes of a kernel without MCS.
    pub fn of(dialect: XmlDialect, config: &Config) -> Self {
        // Later kernels keep the extended register state in the TCB; AVX makes it outgrow 2 KiB.
        let wide = dialect == XmlDialect::Elements
            && config.number("XSAVE_SIZE").is_some_and(|size| size >= 832);
        Self { slot: 5, tcb: if wide { 12 } else { 11 }, endpoint: 4, notification: 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_move_what_follows() {
        let without = ObjectTypes::of(&Config::default());
        assert_eq!((without.pml4, without.huge_page, without.page_4k), (6, None, 7));
        assert_eq!((without.page_table, without.page_directory), (9, 10));
        let with = ObjectTypes::of(&Config::from_autoconf("#define CONFIG_HUGE_PAGE 1"));
        assert_eq!((with.pml4, with.huge_page, with.page_4k), (6, Some(7), 8));
        assert_eq!((with.large_page, with.page_table, with.page_directory), (9, 10, 11));
    }

    #[test]
    fn avx_widens_the_tcb_of_later_kernels_only() {
        let avx = Config::from_autoconf("#define CONFIG_XSAVE_SIZE 832");
        let sse = Config::from_autoconf("#define CONFIG_XSAVE_SIZE 576");
        assert_eq!(ObjectSizes::of(XmlDialect::Elements, &avx).tcb, 12);
        assert_eq!(ObjectSizes::of(XmlDialect::Elements, &sse).tcb, 11);
        assert_eq!(ObjectSizes::of(XmlDialect::Strings, &avx).tcb, 11);
    }
}

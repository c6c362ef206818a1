//! Pool sizes and the cutting of the lent region.

use crate::model::machine::SMALL;
use shadow_core::{Pools, PoolsError, Storage};
use zerocopy::IntoBytes;

#[test]
fn the_region_must_hold_all_records() {
    let required = SMALL.required_bytes();
    let mut words = vec![0_u64; required.div_ceil(8) + 1];
    let bytes = words.as_mut_bytes();
    assert!(Storage::carve(&mut bytes[..required], SMALL).is_ok());
    let error = Storage::carve(&mut bytes[..required - 1], SMALL).err();
    assert_eq!(error, Some(PoolsError::Region { required, given: required - 1 }));
    assert!(Storage::carve(&mut bytes[1..=required], SMALL).is_err(), "not aligned");
}

#[test]
fn pools_below_the_floor_or_above_the_limit_are_refused() {
    assert_eq!(Pools::FLOOR.check(), Ok(()));
    assert_eq!(Pools::LIMIT.check(), Ok(()));
    let few = Pools { pds: 5, ..SMALL };
    assert_eq!(few.check(), Err(PoolsError::TooFew { pool: "pds", given: 5, floor: 6 }));
    let many = Pools { spaces: 4097, ..SMALL };
    assert_eq!(many.check(), Err(PoolsError::TooMany { pool: "spaces", given: 4097, limit: 4096 }));
    assert_eq!(
        few.check().expect_err("refused").to_string(),
        "pool `pds` has 5 objects, but at least 6 are needed"
    );
}

#[test]
fn records_cost_what_the_documentation_says() {
    let with = |pools: Pools| pools.required_bytes();
    let base = with(SMALL);
    assert_eq!(with(Pools { frames: SMALL.frames + 64, ..SMALL }) - base, 64 * 36 + 8);
    assert_eq!(with(Pools { extra_copies: SMALL.extra_copies + 1, ..SMALL }) - base, 24);
    assert_eq!(with(Pools { pts: SMALL.pts + 1, ..SMALL }) - base, 104 + 2048);
    assert_eq!(with(Pools { pds: SMALL.pds + 1, ..SMALL }) - base, 104 + 1024);
    assert_eq!(with(Pools { spaces: SMALL.spaces + 1, ..SMALL }) - base, 16 + 104 + 1024);
}

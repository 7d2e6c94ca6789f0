//! The matrix unit of x86-64 (AMX): eight tiles of 16 rows of 64 bytes, and products of two of them.
//!
//! Rust has no stable intrinsics for it, so this is assembly. The compiler itself does not use tiles.

use std::{
    arch::{asm, x86_64::__cpuid_count},
    marker::PhantomData,
    sync::OnceLock,
};

use super::blocks::{CELLS, Products, TILE, Target};

/// Whether the processor has a matrix unit for bfloat16 and the system lets this process use it.
#[inline]
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_instructions() && ask_system())
}

/// The unit of this thread with its tiles configured, which takes as long as some of the smaller products.
pub(crate) struct MatrixUnit {
    /// Registers belong to a thread.
    not_send: PhantomData<*mut ()>,
}

impl MatrixUnit {
    #[inline]
    pub(super) fn new() -> Option<Self> {
        is_available().then(|| {
            // SAFETY: the processor has this instruction; it reads 64 bytes.
            unsafe {
                asm!(
                    "ldtilecfg [{config}]",
                    config = in(reg) &CONFIG,
                    options(nostack, preserves_flags, readonly),
                );
            }
            Self {
                not_send: PhantomData,
            }
        })
    }

    /// See `matrix::block::Multiplier::multiply`.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    pub(crate) unsafe fn multiply(&mut self, products: Products, target: Target) {
        const BYTES: usize = size_of::<f32>();
        let row_bytes = target.row_stride * BYTES;
        let upper = target.start;
        let lower = upper.wrapping_add(TILE * target.row_stride);
        // SAFETY: `new` has detected these instructions and configured the tiles. They read whole blocks of
        // factors and write one block of sums, as the caller promises.
        unsafe {
            if target.add {
                asm!(
                    "tileloadd tmm0, [{upper} + {row}]",
                    "tileloadd tmm1, [{upper} + {row} + 64]",
                    "tileloadd tmm2, [{lower} + {row}]",
                    "tileloadd tmm3, [{lower} + {row} + 64]",
                    upper = in(reg) upper,
                    lower = in(reg) lower,
                    row = in(reg) row_bytes,
                    options(nostack, preserves_flags, readonly),
                );
            } else {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    options(nostack, preserves_flags, nomem),
                );
            }
            if !products.list.is_empty() && products.depth > 0 {
                asm!(
                    "2:",
                    "mov {left}, [{list}]",
                    "mov {right}, [{list} + 8]",
                    "add {left}, {left_shift}",
                    "add {right}, {right_shift}",
                    "mov {block}, {depth}",
                    "3:",
                    "tileloadd tmm4, [{left} + {row}]",
                    "tileloadd tmm6, [{right} + {row}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right} + {row} + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{left} + {row} + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {left}, {block_bytes}",
                    "add {right}, {block_bytes}",
                    "dec {block}",
                    "jnz 3b",
                    "add {list}, 16",
                    "dec {products}",
                    "jnz 2b",
                    row = in(reg) TILE * BYTES,
                    list = inout(reg) products.list.as_ptr() => _,
                    products = inout(reg) products.list.len() => _,
                    left = out(reg) _,
                    right = out(reg) _,
                    left_shift = in(reg) products.shift[0] * BYTES,
                    right_shift = in(reg) products.shift[1] * BYTES,
                    depth = in(reg) products.depth,
                    block = out(reg) _,
                    block_bytes = const CELLS * BYTES,
                    options(nostack, readonly),
                );
            }
            asm!(
                "tilestored [{upper} + {row}], tmm0",
                "tilestored [{upper} + {row} + 64], tmm1",
                "tilestored [{lower} + {row}], tmm2",
                "tilestored [{lower} + {row} + 64], tmm3",
                upper = in(reg) upper,
                lower = in(reg) lower,
                row = in(reg) row_bytes,
                options(nostack, preserves_flags),
            );
        }
    }
}

impl Drop for MatrixUnit {
    fn drop(&mut self) {
        // SAFETY: the processor has this instruction, which touches no memory.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// All eight tiles have 16 rows of 64 bytes.
static CONFIG: Config = {
    let mut bytes = [0; 64];
    // Palette 1, the only one.
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Config(bytes)
};

#[repr(C, align(64))]
struct Config([u8; 64]);

/// AMX-TILE and AMX-BF16.
fn has_instructions() -> bool {
    let leaves = __cpuid_count(0, 0).eax;
    leaves >= 7 && {
        let features = __cpuid_count(7, 0).edx;
        features & (1 << 22) != 0 && features & (1 << 24) != 0
    }
}

/// Asks Linux for the tile state. Linux refuses if it does not know tiles or cannot save them.
#[cfg(target_os = "linux")]
fn ask_system() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this call reads and writes no memory of ours.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        )
    };
    answer == 0
}

/// Other systems are not supported.
#[cfg(not(target_os = "linux"))]
fn ask_system() -> bool {
    false
}

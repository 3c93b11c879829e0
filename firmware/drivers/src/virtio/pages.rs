//! Pages for virtio's queues, from a static pool, handed out once and never returned.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// The memory that devices and drivers share: each address is the same on both sides.
pub(super) struct Pages;

/// Two queues of two pages for each of four network cards, one queue for a source of randomness.
const POOL_PAGES: usize = 18;

#[repr(C, align(4096))]
struct Pool(UnsafeCell<[[u8; PAGE_SIZE]; POOL_PAGES]>);

// SAFETY: `dma_alloc` hands out each page at most once, and nothing else touches the pool.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([[0; PAGE_SIZE]; POOL_PAGES]));
static TAKEN: AtomicUsize = AtomicUsize::new(0);

// SAFETY: pages are whole, aligned, zero at first, and never handed out twice; addresses are
// physical ones, since nothing translates them.
unsafe impl Hal for Pages {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let taken = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(pages).filter(|after| *after <= POOL_PAGES)
        });
        // Address zero says that there are none left.
        let Ok(taken) = taken else { return (0, NonNull::dangling()) };
        let first = POOL.0.get().cast::<[u8; PAGE_SIZE]>();
        // SAFETY: `taken` and the pages behind it lie in the pool.
        let page = unsafe { NonNull::new_unchecked(first.add(taken)) }.cast::<u8>();
        (address(page), page)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // A device lives as long as the image; its pages are not taken back.
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        let address = core::ptr::with_exposed_provenance_mut(address as usize);
        NonNull::new(address).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        address(buffer.cast())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

fn address(memory: NonNull<u8>) -> PhysAddr {
    memory.as_ptr().expose_provenance() as PhysAddr
}

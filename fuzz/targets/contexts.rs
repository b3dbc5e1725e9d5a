//! Create contexts: the list, and every kind of data in it.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::wire::create_context::*;

fuzz_target!(|list: &[u8]| {
    let Ok(contexts) = decode_list(list) else { return };
    for context in &contexts {
        let data = &*context.data;
        let _ = AppInstanceId::decode(data);
        let _ = AppInstanceVersion::decode(data);
        let _ = DurableHandleRequest::decode(data);
        let _ = DurableHandleReconnect::decode(data);
        let _ = DurableHandleRequestV2::decode(data);
        let _ = DurableHandleReconnectV2::decode(data);
        let _ = Lease::decode(data);
        let _ = MaximalAccessRequest::decode(data);
        let _ = AllocationSize::decode(data);
        let _ = TimewarpToken::decode(data);
    }
    let mut out = Vec::new();
    encode_list(&mut smbgate::wire::codec::Writer::new(&mut out), &contexts);
    assert_eq!(decode_list(&out).expect("what was encoded decodes"), contexts);
});

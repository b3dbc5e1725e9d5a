//! What a pipe does with bytes that are no calls, with answers nobody reads, and with who waits.

use super::*;
use crate::rpc::{Modes, Served};

#[test]
fn a_call_before_the_bind_breaks_the_pipe() {
    let pipe = open("srvsvc", Arc::new(context())).unwrap();
    let (fault, _) = transceive(&pipe, &request(1, 15, 3, &[]), 4096);
    assert_eq!(fault[24..28], Fault::PROTO_ERROR.0.to_le_bytes());
    assert_eq!(write(&pipe, &[5]), Err(NtStatus::PIPE_DISCONNECTED));
}

#[test]
fn security_inside_rpc_is_not_offered() {
    let mut bind = hex(WINDOWS_BIND);
    bind[10] = 8;
    let pipe = open("srvsvc", Arc::new(context())).unwrap();
    let (nak, _) = transceive(&pipe, &bind, 4096);
    assert_eq!((nak[2], nak[16]), (PacketType::BIND_NAK.0, 8));
    assert!(pipe.is_broken());
}

#[test]
fn an_endless_call_is_cut_off() {
    let pipe = Client::bound("srvsvc", context()).pipe;
    let piece = vec![0; 60_000];
    write(&pipe, &request(1, 15, pdu::FIRST_FRAG, &piece)).unwrap();
    let ends = (0..40).any(|_| write(&pipe, &request(1, 15, 0, &piece)).is_err());
    assert!(ends && pipe.is_broken());
    let (fault, _) = pipe.read(4096).unwrap();
    assert_eq!(fault[24..28], Fault::REMOTE_NO_MEMORY.0.to_le_bytes());
}

#[test]
fn answers_nobody_reads_do_not_pile_up() {
    let shares = (0..1000).map(|i| share(&format!("share{i}"))).collect();
    let pipe = Client::bound("srvsvc", Context { shares, ..context() }).pipe;
    let mut w = NdrWriter::new();
    [0, 1, 1, 0].into_iter().for_each(|v| w.u32(v));
    w.u32(u32::MAX);
    let call = request(1, 15, 3, &w.finish(0));
    let error = (0..1000).find_map(|_| write(&pipe, &call).err());
    assert_eq!(error, Some(NtStatus::INSUFFICIENT_RESOURCES));
    assert!(pipe.available().1 < 2 << 20);
}

#[test]
fn a_read_waits_for_the_answer_and_gets_no_more_than_it_wants() {
    let pipe = Client::bound("srvsvc", context()).pipe;
    let time_of_day = request(1, 28, 3, &[0; 4]);
    assert_eq!(pipe.read_or_wait(waiter(1, 20)), None);
    assert_eq!(pipe.read_or_wait(waiter(2, 4096)), None);
    assert_eq!(pipe.read_or_wait(waiter(3, 4096)), None);
    assert!(pipe.forget(3) && !pipe.forget(3));
    let mut served = Vec::new();
    // In two pieces: half a request has no answer.
    pipe.write(&time_of_day[..10], &mut served).unwrap();
    assert_eq!(served, []);
    pipe.write(&time_of_day[10..], &mut served).unwrap();
    let lengths =
        served.iter().map(|s| (s.waiter.id, s.result.as_ref().map(|(data, more)| (data.len(), *more))));
    assert_eq!(lengths.collect::<Vec<_>>(), [(1, Ok((20, true))), (2, Ok((24 + 56 - 20, false)))]);
    assert_eq!(pipe.available(), (0, 0, 0));
}

#[test]
fn a_transceive_of_half_a_request_waits_and_of_two_finds_the_pipe_busy() {
    let pipe = Client::bound("srvsvc", context()).pipe;
    let time_of_day = request(1, 28, 3, &[0; 4]);
    let transceiver = Waiter { transceives: true, ..waiter(7, 4096) };
    let mut served = Vec::new();
    assert_eq!(pipe.transceive(&time_of_day[..20], 4096, || Ok(transceiver), &mut served), None);
    let busy = pipe.transceive(&time_of_day, 4096, || panic!("it does not wait"), &mut served);
    assert_eq!(busy, Some(Err(NtStatus::PIPE_BUSY)), "somebody waits");
    pipe.write(&time_of_day[20..], &mut served).unwrap();
    assert_eq!(served.len(), 1);
    assert_eq!(served[0].waiter, transceiver);
    assert!(served[0].result.as_ref().is_ok_and(|(data, more)| data.len() == 80 && !more));
    write(&pipe, &time_of_day).unwrap();
    let busy = pipe.transceive(&time_of_day, 4096, || panic!("it does not wait"), &mut Vec::new());
    assert_eq!(busy, Some(Err(NtStatus::PIPE_BUSY)), "an answer is unread");
}

#[test]
fn closing_and_breaking_end_every_wait() {
    let ended = |served: Vec<Served>| served.into_iter().map(|s| (s.waiter.id, s.result)).collect::<Vec<_>>();
    let pipe = open("srvsvc", Arc::new(context())).unwrap();
    assert_eq!(pipe.read_or_wait(waiter(1, 10)), None);
    assert_eq!(pipe.read_or_wait(waiter(2, 10)), None);
    assert_eq!(ended(pipe.close()), [(1, Err(NtStatus::PIPE_BROKEN)), (2, Err(NtStatus::PIPE_BROKEN))]);
    assert_eq!(pipe.read_or_wait(waiter(3, 10)), Some(Err(NtStatus::PIPE_BROKEN)));
    assert_eq!(write(&pipe, &[5]), Err(NtStatus::PIPE_CLOSING));

    let pipe = open("srvsvc", Arc::new(context())).unwrap();
    assert_eq!(pipe.read_or_wait(waiter(1, 4096)), None);
    assert_eq!(pipe.read_or_wait(waiter(2, 4096)), None);
    let mut served = Vec::new();
    // A call before the bind: its fault, then the end.
    pipe.write(&request(1, 15, 3, &[]), &mut served).unwrap();
    let served = ended(served);
    assert!(served[0].1.as_ref().is_ok_and(|(fault, _)| fault[2] == PacketType::FAULT.0));
    assert_eq!(served[1..], [(2, Err(NtStatus::PIPE_DISCONNECTED))]);
    assert_eq!(pipe.read_or_wait(waiter(3, 10)), Some(Err(NtStatus::PIPE_DISCONNECTED)));
}

#[test]
fn a_pipe_that_does_not_wait_is_empty_and_one_of_bytes_does_not_tell_of_more() {
    let pipe = Client::bound("srvsvc", context()).pipe;
    pipe.set_modes(Modes { messages: false, waits: false });
    assert_eq!(pipe.read_or_wait(waiter(1, 10)), Some(Err(NtStatus::PIPE_EMPTY)));
    write(&pipe, &request(1, 28, 3, &[0; 4])).unwrap();
    assert!(pipe.read(10).is_ok_and(|(data, more)| data.len() == 10 && !more));
}

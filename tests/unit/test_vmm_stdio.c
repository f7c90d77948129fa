// SPDX-License-Identifier: Apache-2.0
#include "vmm/stdio.h"

#include "base/io.h"
#include "fake_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#define FROM 7000U

static struct fake_guest g;
static struct stdio_relay *relay;
static uint32_t port;
static int events;
static char big[200000];

static int setup(void **state)
{
	fg_start(&g);
	relay = NULL;
	events = 0;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 + i / 97);
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int teardown(void **state)
{
	stdio_relay_free(relay);
	fg_stop(&g);
	return 0;
}

static void count(void *cookie, struct stdio_relay *r)
{
	events++;
}

static void start(int fd, unsigned dirs)
{
	assert_int_equal(stdio_relay_new(g.loop, fd, dirs, count, NULL, &relay), 0);
	assert_int_equal(stdio_relay_expect(relay, g.vsock, &port), 0);
	fg_give_rx(&g, 24);
	fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RESPONSE);
}

static void send_data(const char *data, uint32_t len)
{
	for (uint32_t at = 0, part; at < len; at += part) {
		part = len - at < 60000 ? len - at : 60000;
		fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_RW, 0, data + at, part);
	}
}

static void a_pipe_gets_all_at_the_speed_of_its_reader(void **state)
{
	char got[sizeof(big)];
	size_t len = 0;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start(fds[1], STDIO_SINK);
	close(fds[1]);
	send_data(big, sizeof(big));
	assert_false(stdio_relay_done(relay, sizeof(big)));
	fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	for (;;) {
		ssize_t n = read(fds[0], got + len,
				 sizeof(got) - len < 10000 ? sizeof(got) - len : 10000);
		fg_run(&g);
		if (n <= 0 || len + (size_t)n == sizeof(got)) {
			len += n > 0 ? (size_t)n : 0;
			break;
		}
		len += (size_t)n;
	}
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(got, big, sizeof(big));
	assert_true(stdio_relay_done(relay, sizeof(big)));
	assert_true(events > 0);
	assert_int_equal(read(fds[0], got, 1), 0); /* the relay closed its end */
	close(fds[0]);
}

static void the_callers_description_stays_blocking(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start(fds[1], STDIO_SINK);
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	close(fds[1]);
}

static void a_lost_reader_is_told_to_the_guest_at_once(void **state)
{
	struct virtio_vsock_hdr hdr;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start(fds[1], STDIO_SINK);
	close(fds[1]);
	close(fds[0]);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(le32toh(hdr.flags), VIRTIO_VSOCK_SHUTDOWN_RCV);
	send_data("late", 4);
	assert_true(stdio_relay_done(relay, 4));
}

static void a_source_is_read_to_its_end(void **state)
{
	struct virtio_vsock_hdr hdr;
	char data[FG_RX_BUF];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "input", 5), 5);
	start(fds[0], STDIO_SOURCE);
	close(fds[0]);
	assert_int_equal(fg_recv(&g, &hdr, data), VIRTIO_VSOCK_OP_RW);
	assert_memory_equal(data, "input", 5);
	close(fds[1]);
	assert_int_equal(fg_recv(&g, &hdr, NULL), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(le32toh(hdr.flags), VIRTIO_VSOCK_SHUTDOWN_SEND);
	fg_expect(&g, 0);
}

static void a_regular_file_is_read_and_written_at_its_shared_offset(void **state)
{
	struct virtio_vsock_hdr hdr;
	char data[FG_RX_BUF];
	FILE *f = tmpfile();
	int fd = fileno(f);

	assert_int_equal(write(fd, "skip me, read me", 16), 16);
	assert_int_equal(lseek(fd, 9, SEEK_SET), 9);
	start(fd, STDIO_SOURCE);
	assert_int_equal(fg_recv(&g, &hdr, data), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(le32toh(hdr.len), 7);
	assert_memory_equal(data, "read me", 7);
	fg_expect(&g, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 16);
	stdio_relay_free(relay);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	start(fd, STDIO_SINK);
	send_data("more", 4);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 20);
	assert_true(stdio_relay_done(relay, 4));
	(void)fclose(f);
}

static void a_large_file_waits_for_the_guest(void **state)
{
	struct virtio_vsock_hdr hdr;
	FILE *f = tmpfile();
	char data[FG_RX_BUF];
	size_t got = 0;

	assert_int_equal(write(fileno(f), big, sizeof(big)), sizeof(big));
	assert_int_equal(lseek(fileno(f), 0, SEEK_SET), 0);
	start(fileno(f), STDIO_SOURCE);
	for (int i = 0; i < 200 && got < sizeof(big); i++) {
		unsigned op = fg_recv(&g, &hdr, data);

		fg_give_rx(&g, op ? 1 : 0);
		if (op == VIRTIO_VSOCK_OP_RW) {
			assert_memory_equal(data, big + got, le32toh(hdr.len));
			got += le32toh(hdr.len);
			g.fwd_cnt = (uint32_t)got;
		} else {
			fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
		}
	}
	assert_int_equal(got, sizeof(big));
	(void)fclose(f);
}

static void dev_null_is_an_empty_source_and_a_bottomless_sink(void **state)
{
	int fd = open("/dev/null", O_RDWR);

	start(fd, STDIO_SOURCE | STDIO_SINK);
	fg_expect(&g, VIRTIO_VSOCK_OP_SHUTDOWN);
	send_data(big, sizeof(big));
	assert_true(stdio_relay_done(relay, sizeof(big)));
	close(fd);
}

static void a_socket_carries_both_directions(void **state)
{
	struct virtio_vsock_hdr hdr;
	char data[FG_RX_BUF];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	start(fds[0], STDIO_SOURCE | STDIO_SINK);
	close(fds[0]);
	assert_int_equal(write(fds[1], "ping", 4), 4);
	assert_int_equal(fg_recv(&g, &hdr, data), VIRTIO_VSOCK_OP_RW);
	assert_memory_equal(data, "ping", 4);
	send_data("pong", 4);
	assert_int_equal(read(fds[1], data, sizeof(data)), 4);
	fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	assert_int_equal(read(fds[1], data, sizeof(data)), 0);
	close(fds[1]);
}

static void an_fd_not_open_for_writing_takes_nothing(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start(fds[0], STDIO_SINK);
	send_data("x", 1);
	fg_expect(&g, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_true(stdio_relay_done(relay, 1));
	close(fds[0]);
	close(fds[1]);
}

static void a_freed_relay_waits_on_no_port(void **state)
{
	int fd = open("/dev/null", O_RDWR);

	assert_int_equal(stdio_relay_new(g.loop, fd, STDIO_SINK, NULL, NULL, &relay), 0);
	assert_int_equal(stdio_relay_expect(relay, g.vsock, &port), 0);
	stdio_relay_free(relay);
	relay = NULL;
	fg_give_rx(&g, 1);
	fg_send(&g, FROM, port, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fg_expect(&g, VIRTIO_VSOCK_OP_RST);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pipe_gets_all_at_the_speed_of_its_reader),
		T(the_callers_description_stays_blocking),
		T(a_lost_reader_is_told_to_the_guest_at_once),
		T(a_source_is_read_to_its_end),
		T(a_regular_file_is_read_and_written_at_its_shared_offset),
		T(a_large_file_waits_for_the_guest),
		T(dev_null_is_an_empty_source_and_a_bottomless_sink),
		T(a_socket_carries_both_directions),
		T(an_fd_not_open_for_writing_takes_nothing),
		T(a_freed_relay_waits_on_no_port),
	};

	return cmocka_run_group_tests_name("vmm/stdio", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "vmm/serial8250.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <string.h>
#include <sys/eventfd.h>

/* Both bits: a FIFO that works (table 4). */
#define UART_IIR_FIFO 0xc0

static void flush(struct serial8250 *s)
{
	ssize_t n = 0;

	if (s->used && s->out >= 0)
		n = write(s->out, s->line, s->used); /* nonblocking; a full pipe loses the line */
	(void)n;
	s->used = 0;
}

void serial8250_flush(struct serial8250 *s)
{
	pthread_mutex_lock(&s->lock);
	flush(s);
	pthread_mutex_unlock(&s->lock);
}

/* The transmitter is empty as soon as it is full. */
static void transmitter_empty(struct serial8250 *s)
{
	if (!(s->ier & UART_IER_THRI))
		return;
	s->tx_interrupt = true;
	eventfd_write(s->irq, 1);
}

static void send(struct serial8250 *s, uint8_t byte)
{
	if (!(s->mcr & UART_MCR_LOOP)) {
		s->line[s->used++] = (char)byte;
		if (byte == '\n' || s->used == sizeof(s->line))
			flush(s);
	}
	s->tx_interrupt = false;
	transmitter_empty(s);
}

static uint8_t read_register(struct serial8250 *s, uint64_t offset)
{
	bool dlab = s->lcr & UART_LCR_DLAB;
	uint8_t iir = UART_IIR_NO_INT;

	switch (offset) {
	case UART_RX:
		return dlab ? (uint8_t)s->divisor : 0;
	case UART_IER:
		return dlab ? (uint8_t)(s->divisor >> 8) : s->ier;
	case UART_IIR:
		if (s->tx_interrupt)
			iir = UART_IIR_THRI;
		s->tx_interrupt = false; /* reading it acknowledges */
		return iir | (s->fcr & UART_FCR_ENABLE_FIFO ? UART_IIR_FIFO : 0);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return UART_LSR_THRE | UART_LSR_TEMT;
	case UART_MSR:
		if (s->mcr &
		    UART_MCR_LOOP) /* DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD */
			return (uint8_t)((s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
					 (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
					 (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
					 (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	default:
		return s->scr;
	}
}

static void write_register(struct serial8250 *s, uint64_t offset, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;
	uint8_t before = s->ier;

	switch (offset) {
	case UART_TX:
		if (dlab)
			s->divisor = (uint16_t)((s->divisor & 0xff00) | value);
		else
			send(s, value);
		break;
	case UART_IER:
		if (dlab) {
			s->divisor = (uint16_t)((s->divisor & 0xff) | value << 8);
			break;
		}
		s->ier = value & 0x0f;
		if (!(before & UART_IER_THRI))
			transmitter_empty(s);
		break;
	case UART_FCR:
		s->fcr = value;
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	default: /* the status registers are read-only */
		break;
	}
}

static void serial_read(void *cookie, uint64_t offset, void *data, uint32_t len)
{
	struct serial8250 *s = cookie;

	if (len != 1)
		return; /* all ones */
	pthread_mutex_lock(&s->lock);
	*(uint8_t *)data = read_register(s, offset);
	pthread_mutex_unlock(&s->lock);
}

static void serial_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	struct serial8250 *s = cookie;

	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	write_register(s, offset, *(const uint8_t *)data);
	pthread_mutex_unlock(&s->lock);
}

int serial8250_init(struct serial8250 *s, struct kvm_vm *vm, int out, struct rsm_error *err)
{
	static const struct mmio_ops ops = {.read = serial_read, .write = serial_write};
	int r;

	memset(s, 0, sizeof(*s));
	s->out = out;
	s->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->irq < 0)
		return rsm_fail_errno(err, errno, "serial port: eventfd");
	pthread_mutex_init(&s->lock, NULL);
	r = kvm_vm_irqfd(vm, s->irq, KVM_GSI_SERIAL);
	if (r == 0)
		r = kvm_vm_pio(vm, KVM_PORT_SERIAL, 8, &ops, s);
	if (r < 0) {
		serial8250_fini(s);
		return rsm_fail_errno(err, -r, "serial port");
	}
	return 0;
}

void serial8250_fini(struct serial8250 *s)
{
	rsm_close(&s->irq);
	pthread_mutex_destroy(&s->lock);
}

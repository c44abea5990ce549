/* rtpload: the load of a conference, and the measurement of what comes back.
 *
 * Each participant has a socket and sends a packet every 20 ms; who sends in which millisecond is spread over the 20.
 * What comes back is counted for each participant, with the kernel's arrival times. The first participant sends a
 * marker, a burst of 3 kHz once a second; the last ones (the probes) decode what they are sent and look for it, which
 * gives the transit time through the server, its jitter buffer, mixer and codec included. The server's CPU time is
 * read from its process clock: what utime + stime in /proc/PID/stat are, but not rounded to 10 ms. One line of JSON is
 * printed at the end. See ../README.md. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <opus/opus.h>
#include <sched.h>
#include <srtp2/srtp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

#define SLOTS 20                /* of 1 ms: a packet time */
#define SLOT 1000000            /* ns */
#define PERIOD (SLOTS * SLOT)
#define LATE 2000000            /* ns after which a slot is called late */
#define DATAGRAM 1500
#define BATCH 8
#define TALK_FILES 16
#define PROBES 16
#define LATENCIES 8192

/* --- time ---------------------------------------------------------------------------------------------------------- */

static int64_t now(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time))
        return 0;
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static clockid_t cpu_clock(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    if (pid && clock_getcpuclockid(pid, &clock)) {
        fprintf(stderr, "rtpload: no process %d\n", (int)pid);
        exit(1);
    }
    return clock;
}

/* --- the marker ----------------------------------------------------------------------------------------------------
 * The amplitude of 3 kHz over 2.5 ms, looked at every half millisecond. A marker begins where it rises above a third
 * of what is sent, after a pause, and is believed when it stays there for 30 ms: speech does not. */

#define HOP 24
#define HOPS 5
#define CYCLE 16                /* samples of 3 kHz */
#define THRESHOLD 5300.0
#define PAUSE 400               /* hops */
#define STEADY 60

struct detector {
    double re[HOPS], im[HOPS];
    long position;              /* samples so far */
    int quiet, loud;
    double began;               /* s: where the candidate began, by the caller's clock */
};

/* Look through a frame that began at time; the time at which a marker began in *found, and whether one did. */
static int detect(struct detector *detector, const int16_t *samples, int count, double time, double *found)
{
    static double cosine[CYCLE], sine[CYCLE];
    int result = 0;
    if (cosine[0] == 0)
        for (int i = 0; i < CYCLE; i++) {
            cosine[i] = cos(2 * M_PI * i / CYCLE);
            sine[i] = sin(2 * M_PI * i / CYCLE);
        }
    for (int hop = 0; hop + HOP <= count; hop += HOP) {
        int slot = (int)(detector->position / HOP % HOPS);
        double re = 0, im = 0, all_re = 0, all_im = 0;
        for (int i = 0; i < HOP; i++) {
            int phase = (int)((detector->position + i) % CYCLE);
            re += samples[hop + i] * cosine[phase];
            im += samples[hop + i] * sine[phase];
        }
        detector->re[slot] = re;
        detector->im[slot] = im;
        detector->position += HOP;
        for (int i = 0; i < HOPS; i++) {
            all_re += detector->re[i];
            all_im += detector->im[i];
        }
        if (2 * hypot(all_re, all_im) / (HOP * HOPS) > THRESHOLD) {
            if (detector->loud++ == 0)
                detector->began = time + (double)hop / RATE;
            if (detector->loud == STEADY && detector->quiet >= PAUSE) {
                *found = detector->began;
                result = 1;
            }
            if (detector->loud >= STEADY)
                detector->quiet = 0;
        } else {
            detector->loud = 0;
            detector->quiet++;
        }
    }
    return result;
}

static int16_t from_mulaw(uint8_t code)
{
    int value = (((~code & 15) << 3) + 132) << ((~code >> 4) & 7);
    return (int16_t)(~code & 0x80 ? 132 - value : value - 132);
}

/* Samples of a payload at 48 kHz; how many. */
static int decode(OpusDecoder *decoder, enum codec codec, const uint8_t *payload, int length, int16_t *samples)
{
    if (codec == CODEC_OPUS)
        return opus_decode(decoder, payload, length, samples, 6 * FRAME, 0);
    if (length > FRAME)
        return 0;
    for (int i = 0; i < length; i++)
        for (int k = 0; k < 6; k++)
            samples[6 * i + k] = from_mulaw(payload[i]);
    return 6 * length;
}

static OpusDecoder *new_decoder(void)
{
    int error;
    OpusDecoder *decoder = opus_decoder_create(RATE, 1, &error);
    if (!decoder)
        fail("opus");
    return decoder;
}

/* --- participants -------------------------------------------------------------------------------------------------- */

struct probe {
    OpusDecoder *decoder;
    struct detector detector;
};

struct participant {
    struct sockaddr_in server;
    int fd;
    int payload_type;
    uint32_t ssrc;
    uint16_t sequence;
    uint32_t timestamp;
    const struct frames *frames;
    uint32_t position;
    srtp_t protect, unprotect;
    struct probe *probe;
    /* what came back while measuring */
    uint64_t received, bytes, lost, strange, gaps;
    int64_t first, last, longest;       /* arrivals and gap, ns */
    uint16_t last_sequence;
};

static struct {
    const char *peers, *silence, *marker, *talk[TALK_FILES], *profile, *send_key, *receive_key;
    int talk_files, talkers, probes, level_extension, port;
    double warm, seconds;
    pid_t server;
} options = {.talkers = 3, .probes = 2, .warm = 3, .seconds = 10};

static struct participant *participants;
static int count;
static struct probe probes[PROBES];
static double latencies[LATENCIES];
static int latency_count, markers_sent;
static uint64_t sent, send_errors, unauthentic;
static int measuring;
static double *onsets;          /* s after its frame's begin at which a marker begins in each frame, or -1 */
static double marker_began = -1;

static int socket_at(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, size = 1 << 18, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    address.sin_port = htons((uint16_t)port);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "rtpload: UDP port %d: ", port);
        fail("cannot be had");
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    return fd;
}

static srtp_t session(const char *hex, uint32_t ssrc, int outbound)
{
    uint8_t key[64] = {0};
    srtp_policy_t policy;
    srtp_t made;
    srtp_profile_t profile =
        strcmp(options.profile, "gcm") ? srtp_profile_aes128_cm_sha1_80 : srtp_profile_aead_aes_128_gcm;
    for (unsigned i = 0; hex && i < sizeof key && sscanf(hex + 2 * i, "%2hhx", &key[i]) == 1 && hex[2 * i + 2]; i++)
        ;
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile);
    srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile);
    policy.ssrc.type = outbound ? ssrc_specific : ssrc_any_inbound;
    policy.ssrc.value = ssrc;
    policy.key = key;
    policy.window_size = 1024;
    if (srtp_create(&made, &policy) != srtp_err_status_ok) {
        fputs("rtpload: libsrtp2 refuses the keys\n", stderr);
        exit(1);
    }
    return made;
}

static void read_peers(void)
{
    FILE *file = fopen(options.peers, "r");
    char address[64];
    int port, payload_type;
    uint32_t ssrc;
    if (!file)
        fail(options.peers);
    while (fscanf(file, "%63s %d %d %u", address, &port, &payload_type, &ssrc) == 4) {
        participants = realloc(participants, (size_t)(count + 1) * sizeof *participants);
        if (!participants)
            fail("rtpload");
        struct participant *one = memset(&participants[count++], 0, sizeof *participants);
        one->server.sin_family = AF_INET;
        one->server.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, address, &one->server.sin_addr) != 1) {
            fprintf(stderr, "rtpload: not an address: %s\n", address);
            exit(1);
        }
        one->payload_type = payload_type;
        one->ssrc = ssrc;
    }
    fclose(file);
    if (!count) {
        fputs("rtpload: nobody in the peers file\n", stderr);
        exit(1);
    }
}

static void set_up(int epoll, const struct frames *silence, const struct frames *marker, const struct frames *talk)
{
    for (int i = 0; i < count; i++) {
        struct participant *one = &participants[i];
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        one->sequence = (uint16_t)(random() & 0x7fff);
        one->timestamp = (uint32_t)random();
        one->fd = socket_at(options.port ? options.port + i : 0);
        if (connect(one->fd, (struct sockaddr *)&one->server, sizeof one->server))
            fail("connect");
        epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event);
        if (i == 0 && marker) {
            one->frames = marker;
        } else if (i < options.talkers && options.talk_files) {
            one->frames = &talk[i % options.talk_files];
            one->position = (uint32_t)(i * 37) % one->frames->count;
        } else {
            one->frames = silence;
            one->position = (uint32_t)(i * 11) % one->frames->count;
        }
        if (options.profile) {
            one->protect = session(options.send_key, one->ssrc, 1);
            one->unprotect = session(options.receive_key, 0, 0);
        }
        if (i >= count - options.probes && i > 0) {
            one->probe = &probes[count - 1 - i];
            one->probe->decoder = new_decoder();
        }
    }
}

/* Where the markers begin in the file when it is played round and round, found as they will be found in the output. */
static void find_onsets(const struct frames *marker)
{
    struct detector detector = {0};
    OpusDecoder *decoder = new_decoder();
    int16_t samples[6 * FRAME];
    onsets = malloc(marker->count * sizeof *onsets);
    if (!onsets)
        fail("rtpload");
    for (uint32_t i = 0; i < marker->count; i++)
        onsets[i] = -1;
    for (uint32_t i = 0; i < 2 * marker->count; i++) {
        const struct frame *frame = &marker->frame[i % marker->count];
        int got = decode(decoder, marker->codec, frame->payload, frame->length, samples);
        double found;
        if (detect(&detector, samples, got, i * 0.02, &found) && i >= marker->count)
            onsets[(uint32_t)(found / 0.02) % marker->count] = fmod(found, 0.02);
    }
    opus_decoder_destroy(decoder);
}

/* --- sending and receiving ----------------------------------------------------------------------------------------- */

static void send_one(struct participant *one)
{
    const struct frame *frame = &one->frames->frame[one->position];
    uint8_t packet[DATAGRAM] = {0x80, (uint8_t)one->payload_type};
    uint16_t sequence = htons(one->sequence);
    uint32_t timestamp = htonl(one->timestamp), ssrc = htonl(one->ssrc);
    int length = 12;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &ssrc, 4);
    if (options.level_extension) {
        const uint8_t extension[8] = {0xBE, 0xDE, 0, 1, (uint8_t)(options.level_extension << 4),
                                      (uint8_t)(frame->voice << 7 | frame->level)};
        packet[0] |= 0x10;
        memcpy(packet + 12, extension, sizeof extension);
        length += (int)sizeof extension;
    }
    memcpy(packet + length, frame->payload, frame->length);
    length += frame->length;
    if (one->protect && srtp_protect(one->protect, packet, &length) != srtp_err_status_ok)
        send_errors++;
    if (one == participants && onsets && onsets[one->position] >= 0) {
        marker_began = (double)now(CLOCK_REALTIME) / 1e9 + onsets[one->position];
        markers_sent += measuring;
    }
    if (send(one->fd, packet, (size_t)length, 0) < 0)
        send_errors++;
    else
        sent++;
    one->sequence++;
    one->timestamp += one->frames->codec == CODEC_OPUS ? 960 : 160;
    one->position = (one->position + 1) % one->frames->count;
}

/* A probe decodes what it is sent, and when a marker begins in it, writes down how long it took. */
static void listen_in(struct participant *one, uint8_t *packet, int length, int64_t arrival)
{
    int16_t samples[6 * FRAME];
    double found;
    int header = 12 + 4 * (packet[0] & 15);
    if (one->unprotect && srtp_unprotect(one->unprotect, packet, &length) != srtp_err_status_ok) {
        unauthentic++;
        return;
    }
    if (packet[0] & 0x10 && header + 4 <= length)
        header += 4 + 4 * (packet[header + 2] << 8 | packet[header + 3]);
    if (header >= length)
        return;
    int got = decode(one->probe->decoder, participants->frames->codec, packet + header, length - header, samples);
    if (got > 0 && detect(&one->probe->detector, samples, got, (double)arrival / 1e9, &found)) {
        double latency = (found - marker_began) * 1000;
        if (measuring && marker_began > 0 && latency > -20 && latency < 950 && latency_count < LATENCIES)
            latencies[latency_count++] = latency;
    }
}

static void take(struct participant *one, uint8_t *packet, int length, int64_t arrival)
{
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);
    if (length < 12 || packet[0] >> 6 != 2 || (packet[1] >= 192 && packet[1] <= 223))
        return;                 /* RTCP is not sound */
    if (measuring) {
        if (one->received) {
            int16_t step = (int16_t)(sequence - one->last_sequence);
            int64_t gap = arrival - one->last;
            if (step > 0)
                one->lost += (uint64_t)step - 1;
            else
                one->strange++;
            one->gaps += gap > 2 * PERIOD;
            one->longest = gap > one->longest ? gap : one->longest;
        } else {
            one->first = arrival;
        }
        one->last = arrival;
        one->last_sequence = sequence;
        one->received++;
        one->bytes += (uint64_t)length;
    }
    if (one->probe)
        listen_in(one, packet, length, arrival);
}

static void receive(int fd, struct participant *one)
{
    static uint8_t data[BATCH][DATAGRAM];
    char control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
    struct iovec vectors[BATCH];
    struct mmsghdr headers[BATCH];
    int got;
    do {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){data[i], DATAGRAM};
            headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
                                                 .msg_iovlen = 1,
                                                 .msg_control = control[i],
                                                 .msg_controllen = sizeof control[i]};
        }
        got = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++) {
            struct cmsghdr *stamp = CMSG_FIRSTHDR(&headers[i].msg_hdr);
            struct timespec time = {0};
            if (stamp && stamp->cmsg_type == SO_TIMESTAMPNS)
                memcpy(&time, CMSG_DATA(stamp), sizeof time);
            take(one, data[i], (int)headers[i].msg_len, time.tv_sec * 1000000000LL + time.tv_nsec);
        }
    } while (got == BATCH);
}

/* --- the result ---------------------------------------------------------------------------------------------------- */

/* Packets that a participant should have got. The server sends to all in the same moment, so a window's ends would
 * cost or give everybody a packet; they are moved to the first and the last packet when these are near. */
static double expected(const struct participant *one, int64_t begin, int64_t end)
{
    if (!one->received)
        return (double)(end - begin) / PERIOD;
    int near_begin = one->first - begin < 3 * PERIOD, near_end = end - one->last < 3 * PERIOD;
    double span = (double)((near_end ? one->last : end) - (near_begin ? one->first : begin)) / PERIOD;
    return round(span) + (near_begin && near_end);
}

static void report(int64_t begin, int64_t end, double server_cpu, double own_cpu, long slots, long late, int64_t latest)
{
    double all = 0, worst = 1e9, seconds = (double)(end - begin) / 1e9;
    uint64_t received = 0, bytes = 0, lost = 0, strange = 0, gaps = 0;
    int64_t longest = 0;
    int starved = 0;
    for (int i = 0; i < count; i++) {
        const struct participant *one = &participants[i];
        double wanted = expected(one, begin, end), ratio = (double)one->received / (wanted < 1 ? 1 : wanted);
        all += wanted;
        worst = ratio < worst ? ratio : worst;
        starved += ratio < 0.5;
        received += one->received;
        bytes += one->bytes;
        lost += one->lost;
        strange += one->strange;
        gaps += one->gaps;
        longest = one->longest > longest ? one->longest : longest;
    }
    printf("{\"participants\": %d, \"talkers\": %d, \"seconds\": %.3f, \"received_ratio\": %.5f, \"worst_ratio\": %.5f, "
           "\"starved\": %d, \"lost\": %lu, \"duplicate_or_late\": %lu, \"gaps_over_40_ms\": %lu, "
           "\"longest_gap_ms\": %.1f, \"mean_packet_bytes\": %.1f, \"unauthentic\": %lu, \"server_cpu_s\": %.4f, "
           "\"server_cores\": %.4f, \"us_per_participant_tick\": %.2f, \"markers\": %d, \"latencies_ms\": [",
           count, options.talkers, seconds, (double)received / all, worst, starved, lost, strange, gaps,
           (double)longest / 1e6, received ? (double)bytes / (double)received : 0.0, unauthentic, server_cpu,
           server_cpu / seconds, server_cpu / seconds / count * 20000, markers_sent);
    for (int i = 0; i < latency_count; i++)
        printf("%s%.2f", i ? ", " : "", latencies[i]);
    printf("], \"generator\": {\"cores\": %.4f, \"slots\": %ld, \"late_slots\": %ld, \"latest_ms\": %.2f, "
           "\"sent\": %lu, \"send_errors\": %lu}}\n",
           own_cpu / seconds, slots, late, (double)latest / 1e6, sent, send_errors);
}

static void run(int epoll)
{
    clockid_t server = cpu_clock(options.server);
    int64_t start = now(CLOCK_MONOTONIC) + 5 * SLOT, warm = start + (int64_t)(options.warm * 1e9);
    int64_t over = warm + (int64_t)(options.seconds * 1e9), latest = 0;
    int64_t begin = 0, cpu = 0, own = 0;
    long slots = 0, late = 0;
    for (long slot = 0;; slot++) {
        int64_t due = start + slot * SLOT, time = now(CLOCK_MONOTONIC);
        if (time < due) {
            struct timespec wake = {due / 1000000000, due % 1000000000};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
            time = now(CLOCK_MONOTONIC);
        }
        if (!measuring && time >= warm) {
            measuring = 1;
            begin = now(CLOCK_REALTIME);
            cpu = now(server);
            own = now(CLOCK_PROCESS_CPUTIME_ID);
        }
        if (time >= over)
            break;
        if (measuring) {
            slots++;
            late += time - due > LATE;
            latest = time - due > latest ? time - due : latest;
        }
        for (int i = (int)(slot % SLOTS); i < count; i += SLOTS)
            send_one(&participants[i]);
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 0);
        for (int i = 0; i < ready; i++)
            receive(participants[events[i].data.u32].fd, &participants[events[i].data.u32]);
    }
    int64_t end = now(CLOCK_REALTIME);
    report(begin, end, (double)(now(server) - cpu) / 1e9, (double)(now(CLOCK_PROCESS_CPUTIME_ID) - own) / 1e9, slots,
           late, latest);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"peers", 1, 0, 'p'},   {"port", 1, 0, 'P'},    {"talkers", 1, 0, 't'},         {"talk", 1, 0, 'T'},
        {"silence", 1, 0, 'S'}, {"marker", 1, 0, 'M'},  {"level-extension", 1, 0, 'l'}, {"server-pid", 1, 0, 's'},
        {"probes", 1, 0, 'r'},  {"warm", 1, 0, 'w'},    {"seconds", 1, 0, 'd'},         {"srtp", 1, 0, 'x'},
        {"send-key", 1, 0, 'o'}, {"receive-key", 1, 0, 'i'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (option) {
        case 'p': options.peers = optarg; break;
        case 'P': options.port = atoi(optarg); break;
        case 't': options.talkers = atoi(optarg); break;
        case 'T':
            if (options.talk_files < TALK_FILES)
                options.talk[options.talk_files++] = optarg;
            break;
        case 'S': options.silence = optarg; break;
        case 'M': options.marker = optarg; break;
        case 'l': options.level_extension = atoi(optarg); break;
        case 's': options.server = atoi(optarg); break;
        case 'r': options.probes = atoi(optarg); break;
        case 'w': options.warm = atof(optarg); break;
        case 'd': options.seconds = atof(optarg); break;
        case 'x': options.profile = optarg; break;
        case 'o': options.send_key = optarg; break;
        case 'i': options.receive_key = optarg; break;
        default: exit(2);
        }
    if (!options.peers || !options.silence || options.probes > PROBES || optind != argc) {
        fputs("usage: rtpload --peers FILE --silence FRAMES [--marker FRAMES] [--talk FRAMES]... [--talkers K]\n"
              "               [--port FIRST] [--level-extension ID] [--server-pid PID] [--probes K (16 at most)]\n"
              "               [--warm S] [--seconds S] [--srtp gcm|cm --send-key HEX --receive-key HEX]\n",
              stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct frames silence, marker, talk[TALK_FILES];
    struct sched_param priority = {.sched_priority = 1};
    struct rlimit files;
    int epoll = epoll_create1(0);
    read_options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (srtp_init() != srtp_err_status_ok) {
        fputs("rtpload: libsrtp2 does not start\n", stderr);
        return 1;
    }
    srandom(42);
    read_peers();
    silence = frames_read(options.silence);
    for (int i = 0; i < options.talk_files; i++)
        talk[i] = frames_read(options.talk[i]);
    if (options.marker) {
        marker = frames_read(options.marker);
        find_onsets(&marker);
    }
    set_up(epoll, &silence, options.marker ? &marker : NULL, talk);
    mlockall(MCL_CURRENT);      /* where that is allowed; and to be on time, where that is */
    sched_setscheduler(0, SCHED_FIFO, &priority);
    run(epoll);
    return 0;
}

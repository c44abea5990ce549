/* primitives: where the time goes. Prints a line of JSON with the microseconds of each primitive, medians of rounds.
 *
 * usage: primitives SECONDS SPEECH (mono 16 bit 48 kHz, whole frames; each primitive is measured for about SECONDS) */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <opus/opus.h>
#include <srtp2/srtp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load/frames.h"

#define ROUNDS 9
#define PACKET 100              /* bytes of RTP */
#define BATCH 64                /* rounds are multiples of it */
#define STREAMS 400

static double budget;           /* s a primitive */
static int16_t *speech;
static int speech_frames;

/* This process' CPU time: what the machine does besides does not count. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double excluded;         /* s of the work of a round that is not what is measured */

/* Do it in rounds that take about budget / ROUNDS each; print the median time of one. */
static void measure(const char *name, void (*work)(void *, long), void *context)
{
    static int comma;
    double rounds[ROUNDS];
    long times = BATCH;
    for (double began = now(); work(context, times), now() - began < budget / ROUNDS / 2; began = now())
        times *= 2;
    for (int i = 0; i < ROUNDS; i++) {
        excluded = 0;
        double began = now();
        work(context, times);
        rounds[i] = (now() - began - excluded) / (double)times * 1e6;
    }
    qsort(rounds, ROUNDS, sizeof(double), compare);
    printf("%s\"%s\": %.3f", comma++ ? ", " : "", name, rounds[ROUNDS / 2]);
}

/* --- Opus ---------------------------------------------------------------------------------------------------------- */

struct coding {
    OpusEncoder *encoder;
    OpusDecoder *decoder;
    const int16_t *samples;
    int frames, position;
    int fec;                    /* what decode() does: 0 decode, 1 recover from FEC, -1 conceal */
    uint8_t (*payloads)[LONGEST_PAYLOAD];
    int *lengths;
};

static OpusEncoder *encoder(int application, int bitrate, int complexity, int fec)
{
    int error;
    OpusEncoder *made = opus_encoder_create(RATE, 1, application, &error);
    if (!made)
        fail("opus");
    opus_encoder_ctl(made, OPUS_SET_BITRATE(bitrate));
    opus_encoder_ctl(made, OPUS_SET_COMPLEXITY(complexity));
    opus_encoder_ctl(made, OPUS_SET_INBAND_FEC(fec));
    opus_encoder_ctl(made, OPUS_SET_PACKET_LOSS_PERC(fec ? 10 : 0));
    return made;
}

static void encode(void *context, long times)
{
    struct coding *coding = context;
    uint8_t payload[LONGEST_PAYLOAD];
    while (times--) {
        const int16_t *samples = coding->samples + (size_t)coding->position * FRAME;
        if (opus_encode(coding->encoder, samples, FRAME, payload, LONGEST_PAYLOAD) < 0)
            fail("opus");
        coding->position = (coding->position + 1) % coding->frames;
    }
}

static void decode(void *context, long times)
{
    struct coding *coding = context;
    int16_t samples[FRAME];
    while (times--) {
        int i = coding->position;
        double began = coding->fec < 0 ? now() : 0;
        int got = opus_decode(coding->decoder, coding->payloads[i], coding->lengths[i], samples, FRAME, coding->fec > 0);
        if (coding->fec < 0) {  /* after a frame that was there: the decoder soon has nothing more to invent */
            excluded += now() - began;
            got = opus_decode(coding->decoder, NULL, 0, samples, FRAME, 0);
        }
        if (got != FRAME)
            fail("opus");
        coding->position = (i + 1) % coding->frames;
    }
}

static void measure_encode(const char *name, int application, int bitrate, int complexity, int fec)
{
    struct coding coding = {.encoder = encoder(application, bitrate, complexity, fec), .samples = speech,
                            .frames = speech_frames};
    measure(name, encode, &coding);
    opus_encoder_destroy(coding.encoder);
}

static void measure_decode(const char *name, const int16_t *samples, int frames, int application, int bitrate, int fec)
{
    struct coding coding = {.frames = frames, .fec = fec};
    int error;
    OpusEncoder *made = encoder(application, bitrate, 5, fec > 0);
    coding.decoder = opus_decoder_create(RATE, 1, &error);
    coding.payloads = malloc((size_t)frames * LONGEST_PAYLOAD);
    coding.lengths = malloc((size_t)frames * sizeof(int));
    if (!coding.decoder || !coding.payloads || !coding.lengths)
        fail("opus");
    for (int i = 0; i < frames; i++)
        coding.lengths[i] = opus_encode(made, samples + (size_t)i * FRAME, FRAME, coding.payloads[i], LONGEST_PAYLOAD);
    measure(name, decode, &coding);
    opus_encoder_destroy(made);
    opus_decoder_destroy(coding.decoder);
    free(coding.payloads);
    free(coding.lengths);
}

static void opus(void)
{
    static int16_t floor_noise[50 * FRAME], nothing[50 * FRAME];
    srandom(7);
    for (int i = 0; i < 50 * FRAME; i++)
        floor_noise[i] = (int16_t)(random() % 7 - 3);
    measure_encode("opus encode 32k complexity 0", OPUS_APPLICATION_VOIP, 32000, 0, 0);
    measure_encode("opus encode 32k complexity 5", OPUS_APPLICATION_VOIP, 32000, 5, 0);
    measure_encode("opus encode 32k complexity 9", OPUS_APPLICATION_VOIP, 32000, 9, 0);
    measure_encode("opus encode 32k complexity 5 FEC", OPUS_APPLICATION_VOIP, 32000, 5, 1);
    measure_encode("opus encode 32k complexity 5 low delay", OPUS_APPLICATION_RESTRICTED_LOWDELAY, 32000, 5, 0);
    measure_decode("opus decode speech 24k", speech, speech_frames, OPUS_APPLICATION_VOIP, 24000, 0);
    measure_decode("opus decode speech 24k low delay", speech, speech_frames, OPUS_APPLICATION_RESTRICTED_LOWDELAY,
                   24000, 0);
    measure_decode("opus decode noise floor", floor_noise, 50, OPUS_APPLICATION_VOIP, 24000, 0);
    measure_decode("opus decode silence", nothing, 50, OPUS_APPLICATION_VOIP, 24000, 0);
    measure_decode("opus recover from FEC", speech, speech_frames, OPUS_APPLICATION_VOIP, 24000, 1);
    measure_decode("opus conceal", speech, speech_frames, OPUS_APPLICATION_VOIP, 24000, -1);
}

/* --- SRTP ---------------------------------------------------------------------------------------------------------- */

struct securing {
    srtp_t protect[STREAMS], unprotect[STREAMS];
    int streams;
    uint32_t count;
    int unprotects;             /* then that is measured, and not the protecting before it */
};

static void secured(srtp_err_status_t status)
{
    if (status != srtp_err_status_ok) {
        fprintf(stderr, "primitives: SRTP error %d\n", (int)status);
        exit(1);
    }
}

static void secure(void *context, long times)
{
    static uint8_t packets[BATCH][PACKET + SRTP_MAX_TRAILER_LEN + 16];
    struct securing *securing = context;
    int lengths[BATCH];
    for (long done = 0; done < times; done += BATCH) {
        uint32_t first = securing->count;
        double began = now();
        for (int i = 0; i < BATCH; i++, securing->count++) {
            uint16_t sequence = htons((uint16_t)(securing->count / (uint32_t)securing->streams));
            uint32_t ssrc = htonl(1 + securing->count % (uint32_t)securing->streams);
            lengths[i] = PACKET;
            packets[i][0] = 0x80;
            packets[i][1] = 111;
            memcpy(packets[i] + 2, &sequence, 2);
            memcpy(packets[i] + 8, &ssrc, 4);
            secured(srtp_protect(securing->protect[securing->count % (uint32_t)securing->streams], packets[i],
                                 &lengths[i]));
        }
        if (!securing->unprotects)
            continue;
        excluded += now() - began;
        for (uint32_t i = 0; i < BATCH; i++)
            secured(srtp_unprotect(securing->unprotect[(first + i) % (uint32_t)securing->streams], packets[i],
                                   &lengths[i]));
    }
}

static void measure_srtp(const char *name, srtp_profile_t profile, int streams, int unprotects)
{
    static uint8_t key[64];
    struct securing *securing = calloc(1, sizeof *securing);
    srtp_policy_t policy;
    if (!securing)
        fail("srtp");
    securing->streams = streams;
    securing->unprotects = unprotects;
    for (int i = 0; i < streams; i++) {
        memset(&policy, 0, sizeof policy);
        srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile);
        srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile);
        policy.key = key;
        policy.window_size = 1024;
        policy.ssrc.type = ssrc_specific;
        policy.ssrc.value = 1 + (uint32_t)i;
        srtp_create(&securing->protect[i], &policy);
        policy.ssrc.type = ssrc_any_inbound;
        srtp_create(&securing->unprotect[i], &policy);
    }
    measure(name, secure, securing);
    for (int i = 0; i < streams; i++) {
        srtp_dealloc(securing->protect[i]);
        srtp_dealloc(securing->unprotect[i]);
    }
    free(securing);
}

static void srtp(void)
{
    if (srtp_init() != srtp_err_status_ok)
        fail("srtp");
    measure_srtp("libsrtp GCM protect, 1 stream", srtp_profile_aead_aes_128_gcm, 1, 0);
    measure_srtp("libsrtp GCM protect, 400 streams", srtp_profile_aead_aes_128_gcm, STREAMS, 0);
    measure_srtp("libsrtp GCM unprotect, 400 streams", srtp_profile_aead_aes_128_gcm, STREAMS, 1);
    measure_srtp("libsrtp CM protect, 1 stream", srtp_profile_aes128_cm_sha1_80, 1, 0);
    measure_srtp("libsrtp CM protect, 400 streams", srtp_profile_aes128_cm_sha1_80, STREAMS, 0);
    measure_srtp("libsrtp CM unprotect, 400 streams", srtp_profile_aes128_cm_sha1_80, STREAMS, 1);
}

/* --- system calls on loopback -------------------------------------------------------------------------------------- */

struct pipe {
    int out, in;
    struct sockaddr_in to;
    int batched;
    int receives;               /* then that is measured, and not the sending before it */
};

static struct mmsghdr *batch(struct sockaddr_in *name)
{
    static struct mmsghdr headers[BATCH];
    static struct iovec vectors[BATCH];
    static uint8_t data[BATCH][1500];
    static char control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
    static struct sockaddr_in names[BATCH];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){data[i], name ? PACKET + 10 : 1500};
        headers[i].msg_hdr = (struct msghdr){.msg_name = name ? name : &names[i], .msg_namelen = sizeof *name,
                                             .msg_iov = &vectors[i], .msg_iovlen = 1};
        if (!name) {
            headers[i].msg_hdr.msg_control = control[i];
            headers[i].msg_hdr.msg_controllen = sizeof control[i];
        }
    }
    return headers;
}

/* Send a batch and receive it again, so many times. */
static void send_and_receive(void *context, long times)
{
    struct pipe *pipe = context;
    uint8_t data[1500] = {0};
    for (long done = 0; done < times; done += BATCH) {
        double began = now();
        if (pipe->batched)
            sendmmsg(pipe->out, batch(&pipe->to), BATCH, 0);
        else
            for (int i = 0; i < BATCH; i++)
                sendto(pipe->out, data, PACKET + 10, 0, (struct sockaddr *)&pipe->to, sizeof pipe->to);
        if (pipe->receives)
            excluded += now() - began;
        began = now();
        if (pipe->batched)
            recvmmsg(pipe->in, batch(NULL), BATCH, MSG_DONTWAIT, NULL);
        else
            for (int i = 0; i < BATCH; i++)
                recvfrom(pipe->in, data, sizeof data, MSG_DONTWAIT, NULL, NULL);
        if (!pipe->receives)
            excluded += now() - began;
    }
}

static void receive_nothing(void *context, long times)
{
    struct pipe *pipe = context;
    uint8_t data[1500];
    while (times--)
        recv(pipe->in, data, sizeof data, MSG_DONTWAIT);
}

static void system_calls(void)
{
    struct pipe pipe = {.out = socket(AF_INET, SOCK_DGRAM, 0), .in = socket(AF_INET, SOCK_DGRAM, 0)};
    socklen_t size = sizeof pipe.to;
    int room = 1 << 20, on = 1;
    pipe.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(pipe.in, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(pipe.in, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (bind(pipe.in, (struct sockaddr *)&pipe.to, sizeof pipe.to) ||
        getsockname(pipe.in, (struct sockaddr *)&pipe.to, &size))
        fail("bind");
    measure("sendto", send_and_receive, &pipe);
    pipe.receives = 1;
    measure("recvfrom", send_and_receive, &pipe);
    pipe.batched = 1;
    measure("recvmmsg, a packet of 64", send_and_receive, &pipe);
    pipe.receives = 0;
    measure("sendmmsg, a packet of 64", send_and_receive, &pipe);
    measure("recv of nothing", receive_nothing, &pipe);
}

int main(int argc, char **argv)
{
    FILE *file;
    long size;
    if (argc != 3) {
        fputs("usage: primitives SECONDS SPEECH\n", stderr);
        return 2;
    }
    budget = atof(argv[1]);
    file = fopen(argv[2], "rb");
    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < FRAME * 2)
        fail(argv[2]);
    rewind(file);
    speech_frames = (int)(size / 2 / FRAME);
    speech = malloc((size_t)size);
    if (!speech || fread(speech, 2 * FRAME, (size_t)speech_frames, file) != (size_t)speech_frames)
        fail(argv[2]);
    fclose(file);
    printf("{\"opus\": \"%s\", \"srtp\": \"%s\", \"us\": {", opus_get_version_string(), srtp_get_version_string());
    opus();
    srtp();
    system_calls();
    printf("}, \"bytes\": {\"opus encoder\": %d, \"opus decoder\": %d}}\n", opus_encoder_get_size(1),
           opus_decoder_get_size(1));
    return 0;
}

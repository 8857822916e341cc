package Fixture::Http;

# A small HTTP/1.x client for tests: bytes out, bytes in, no opinion.  It
# sends exactly what it is given, packet by packet, reads while it writes (a
# server that refuses a large body answers before it has read it), and drives
# any number of connections at once from one select loop.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR);
use IO::Socket::INET;
use Time::HiRes qw(time);

$SIG{PIPE} = 'IGNORE';


# Opens a connection that does not block; dies when nobody listens.
sub connect_to {
    my ($port) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $port, Timeout => 5)
        or die "connect to port $port: $!\n";
    $sock->blocking(0);

    return $sock;
}


# One request as bytes.  Options: headers => [lines], body => bytes,
# version => '1.0', keep => 1 (do not ask the server to close).
sub request {
    my ($method, $uri, %opt) = @_;

    my @lines = ("$method $uri HTTP/" . ($opt{version} // '1.1'),
                 'Host: localhost', @{ $opt{headers} // [] });
    push @lines, 'Connection: close' unless $opt{keep};
    push @lines, 'Content-Length: ' . length $opt{body}
        if defined $opt{body} && !grep { /^Transfer-Encoding:/i } @lines;

    return join('', map { "$_\r\n" } @lines, '') . ($opt{body} // '');
}


# A body in chunks of at most $size bytes.
sub chunked {
    my ($body, $size) = @_;
    my $out = '';

    for (my $i = 0; $i < length $body; $i += $size) {
        my $part = substr $body, $i, $size;
        $out .= sprintf "%x\r\n%s\r\n", length $part, $part;
    }

    return "${out}0\r\n\r\n";
}


# multipart/form-data: returns the Content-Type line and the body.  A part is
# [header lines..., content]; see part() for the usual one.
sub multipart {
    my ($boundary, @parts) = @_;
    my $body = '';

    for my $part (@parts) {
        my @lines = @$part;
        my $content = pop @lines;
        $body .= "--$boundary\r\n" . join('', map { "$_\r\n" } @lines, '')
                 . "$content\r\n";
    }

    return ("Content-Type: multipart/form-data; boundary=$boundary",
            "$body--$boundary--\r\n");
}


sub part {
    my ($name, $content, $file) = @_;

    return ["Content-Disposition: form-data; name=\"$name\""
            . (defined $file ? "; filename=\"$file\"" : ''), $content];
}


# Runs exchanges, all at once or at most `limit` at a time, until each
# connection is closed by the server, has been silent for `timeout` seconds,
# or its `enough` says that it has what it wants.  An exchange is a hash
#     packets  => [bytes or { value =>, delay_before => }, ...]
#     port     => where to
#     shutdown => 0, 1, 2: shutdown(2) after the last packet
#     enough   => sub ($raw) { true to stop reading }
# and gets `raw`, `timed_out`, `error`, `seconds` and `finished` (when).
sub exchange_all {
    my ($exchanges, %opt) = @_;
    my $timeout = $opt{timeout} // 10;
    my $limit = $opt{limit} // @$exchanges;
    my @waiting = @$exchanges;
    my @active;

    while (@waiting || @active) {
        while (@waiting && @active < $limit) {
            my $x = shift @waiting;
            push @active, $x if _open($x);
        }

        my $now = time;
        my ($read, $write) = ('', '');
        my $wait = $timeout;

        for my $x (@active) {
            vec($read, fileno $x->{sock}, 1) = 1;

            if ($x->{todo} && $x->{not_before} <= $now) {
                vec($write, fileno $x->{sock}, 1) = 1;

            } elsif ($x->{todo}) {
                my $delay = $x->{not_before} - $now;
                $wait = $delay if $delay < $wait;
            }

            my $left = $x->{last} + $timeout - $now;
            $left = 0 if $left < 0;
            $wait = $left if $left < $wait;
        }

        select($read, $write, undef, $wait) if @active;

        for my $x (@active) {
            my $fd = fileno $x->{sock};

            _write($x) if vec($write, $fd, 1);
            _read($x) if vec($read, $fd, 1);

            if (!$x->{done} && time - $x->{last} >= $timeout
                && (!$x->{todo} || $x->{not_before} <= time))
            {
                $x->{timed_out} = $x->{done} = 1;
            }

            if ($x->{done}) {
                $x->{finished} = time;
                $x->{seconds} = $x->{finished} - $x->{started};
                close $x->{sock};
            }
        }

        @active = grep { !$_->{done} } @active;
    }
}


sub _open {
    my ($x) = @_;

    $x->{raw} = '';
    $x->{started} = $x->{last} = time;
    $x->{todo} = [map { ref $_ ? $_ : { value => $_ } } @{ $x->{packets} }];
    $x->{sock} = eval { connect_to($x->{port}) };

    if (!$x->{sock}) {
        $x->{error} = $@;
        $x->{done} = 1;
        return 0;
    }

    _next_packet($x);

    return 1;
}


sub _next_packet {
    my ($x) = @_;
    my $packet = shift @{ $x->{todo} };

    if (!$packet) {
        $x->{todo} = undef;
        shutdown $x->{sock}, $x->{shutdown} if defined $x->{shutdown};
        return;
    }

    $x->{buf} = $packet->{value};
    $x->{sent} = 0;
    $x->{not_before} = time + ($packet->{delay_before} // 0);
}


sub _write {
    my ($x) = @_;
    my $n = syswrite $x->{sock}, $x->{buf}, length($x->{buf}) - $x->{sent},
                     $x->{sent};

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR || $! == EINPROGRESS;

        # The server has closed its reading side: its answer may be there.
        $x->{error} = "write: $!";
        $x->{todo} = undef;
        return;
    }

    $x->{last} = time;
    $x->{sent} += $n;
    _next_packet($x) if $x->{sent} == length $x->{buf};
}


sub _read {
    my ($x) = @_;
    my $n = sysread $x->{sock}, $x->{raw}, 65536, length $x->{raw};

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        $x->{error} //= "read: $!";
        $x->{done} = 1;
        return;
    }

    $x->{last} = time;
    $x->{done} = 1
        if $n == 0 || ($x->{enough} && $x->{enough}->($x->{raw}));
}


# One request, one answer: the parsed response (see parse).
sub ask {
    my ($port, $bytes, %opt) = @_;
    my $x = { port => $port, packets => ref $bytes ? $bytes : [$bytes] };

    exchange_all([$x], %opt);

    return parse($x->{raw}, $bytes =~ /^HEAD /);
}


# A raw response taken apart: { code, head (raw), headers { lc name => value },
# body, left (bytes after it), error }.  Bytes that are no response at all
# have code undef.
sub parse {
    my ($raw, $is_head) = @_;

    $raw //= '';

    return { head => '', headers => {}, body => $raw, left => '' }
        unless $raw =~ s{\A(HTTP/\d\.\d\ (\d{3})[^\r\n]*\r\n
                            (?:.*?\r\n)?)\r\n}{}sx;

    my $res = { code => $2, head => $1, headers => {}, left => '' };

    while ($res->{head} =~ /^([^:\r\n]+):[ \t]*([^\r\n]*?)[ \t]*\r$/mg) {
        my $name = lc $1;
        $res->{headers}{$name} = exists $res->{headers}{$name}
                                 ? "$res->{headers}{$name}, $2" : $2;
    }

    return parse($raw, $is_head) if $res->{code} == 100;

    my $length = $res->{headers}{'content-length'};

    if ($is_head || $res->{code} =~ /^(?:204|304)$/) {
        @$res{qw(body left)} = ('', $raw);

    } elsif (lc($res->{headers}{'transfer-encoding'} // '') eq 'chunked') {
        _unchunk($res, $raw);

    } elsif (defined $length) {
        $res->{body} = substr $raw, 0, $length;
        $res->{left} = length $raw > $length ? substr($raw, $length) : '';
        $res->{error} = "body truncated: $length expected, got "
                        . length $raw if length $raw < $length;

    } else {
        $res->{body} = $raw;
    }

    return $res;
}


sub _unchunk {
    my ($res, $raw) = @_;

    $res->{body} = '';

    while ($raw =~ s/\A([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
        my $size = hex $1;

        if ($size == 0) {
            $res->{error} = 'no end of chunked body'
                unless $raw =~ s/\A(?:[^\r\n]+\r\n)*\r\n//;
            $res->{left} = $raw;
            return;
        }

        $res->{body} .= substr $raw, 0, $size;

        if (length $raw < $size + 2 || substr($raw, $size, 2) ne "\r\n") {
            $res->{error} = 'chunk truncated or without its end';
            return;
        }

        substr $raw, 0, $size + 2, '';
    }

    $res->{error} = 'no last chunk';
}


1;

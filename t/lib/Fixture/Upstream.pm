package Fixture::Upstream;

# A server behind a proxy under test: it answers every request with what it
# has got, as JSON: method, uri, headers (names in lower case), and length and
# MD5 of the body.  It knows requests with a Content-Length, or chunked.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Fixture::Nginx;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();


# Begins to listen; it ends with the object.  Options: name (told in answers).
sub start {
    my ($class, %opt) = @_;
    my $port = Fixture::Nginx::free_port();
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $port, Listen => 128,
                                       ReuseAddr => 1)
        or die "port $port: $!\n";
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        $SIG{PIPE} = 'IGNORE';

        while (my $sock = $listen->accept) {
            eval { _answer($sock, $opt{name}) };
            close $sock;
        }

        POSIX::_exit(0);
    }

    return bless { port => $port, pid => $pid, owner => $$ }, $class;
}


sub _answer {
    my ($sock, $name) = @_;
    local $/ = "\r\n";
    my ($method, $uri) = split / /, <$sock> // return;
    my %headers;

    while (defined(my $line = <$sock>)) {
        chomp $line;
        last if $line eq '';
        my ($key, $value) = split /:\s*/, $line, 2;
        $headers{lc $key} = $value;
    }

    my $body = ($headers{'transfer-encoding'} // '') eq 'chunked'
               ? _chunks($sock) : _bytes($sock, $headers{'content-length'});
    my $json = JSON::PP->new->utf8->canonical->encode({
        name => $name, method => $method, uri => $uri, headers => \%headers,
        length => length $body, md5 => md5_hex($body) });

    print $sock "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                . 'Content-Length: ' . length($json)
                . "\r\nConnection: close\r\n\r\n$json";
    $sock->flush;
}


sub _bytes {
    my ($sock, $length) = @_;
    my $body = '';

    read($sock, $body, $length) if $length;

    return $body;
}


sub _chunks {
    my ($sock) = @_;
    my $body = '';

    while (my $size = hex <$sock>) {
        $body .= _bytes($sock, $size);
        <$sock>;
    }

    <$sock>;

    return $body;
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


1;

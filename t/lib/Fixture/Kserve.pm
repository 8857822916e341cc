package Fixture::Kserve;

# A client of KServe's Open Inference Protocol, version 2, made from its
# specification: what it sends is what the text says, and of an answer it
# checks everything that the text promises.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;

use Fixture::Http;

our @EXPORT = qw(infer infer_raw tensor binary_tensor bytes_element);

my %size = (BOOL => 1, UINT8 => 1, INT8 => 1, UINT16 => 2, INT16 => 2,
            FP16 => 2, UINT32 => 4, INT32 => 4, FP32 => 4, UINT64 => 8,
            INT64 => 8, FP64 => 8);


sub tensor {
    my ($name, $type, $shape, $data) = @_;

    return { name => $name, datatype => $type, shape => $shape,
             data => $data };
}


# The same as bytes after the JSON.
sub binary_tensor {
    my ($name, $type, $shape, $bytes) = @_;

    return { name => $name, datatype => $type, shape => $shape,
             parameters => { binary_data_size => length $bytes },
             raw => $bytes };
}


sub bytes_element { return pack('V', length $_[0]) . $_[0] }


# Asks; the request is a hash with inputs, and whatever else.
sub infer {
    my ($port, $uri, $request, %opt) = @_;
    my %r = %$request;
    my $raw = '';
    my $any = 0;

    $r{inputs} = [map { my %i = %$_; my $b = delete $i{raw};
                        $any ||= defined $b; $raw .= $b // ''; \%i }
                  @{ $r{inputs} // [] }];

    my $json = JSON::PP->new->utf8->canonical->encode(\%r);

    return infer_raw($port, $uri, $json . $raw,
                     $any ? length $json : undef, %opt);
}


# Bytes, and the length of the JSON in them where they are not all JSON.  The
# answer: { code, error, json, outputs => { name => { shape, datatype, data or
# raw } } }.
sub infer_raw {
    my ($port, $uri, $body, $length, %opt) = @_;
    my @headers = 'Content-Type: ' . (defined $length
                                      ? 'application/octet-stream'
                                      : 'application/json');

    push @headers, "Inference-Header-Content-Length: $length"
        if defined $length;

    my $res = Fixture::Http::ask($port, Fixture::Http::request(
        'POST', $uri, body => $body, headers => \@headers), timeout => 60);

    return { code => 0, wrong => 'no answer' } unless $res->{code};

    my %answer = (code => $res->{code}, wrong => '');

    eval { _check($res, \%answer); 1 } or $answer{wrong} = $@;

    return \%answer;
}


sub _check {
    my ($res, $answer) = @_;
    my $type = $res->{headers}{'content-type'} // '';
    my $length = $res->{headers}{'inference-header-content-length'};
    my $json = $res->{body};
    my $raw = '';

    if (defined $length) {
        die "binary answer of type $type\n"
            if $type ne 'application/octet-stream';
        die "header length $length\n" if $length > length $json;
        $raw = substr $json, $length;
        $json = substr $json, 0, $length;

    } elsif ($type ne 'application/json') {
        die "answer of type $type\n";
    }

    $answer->{json} = JSON::PP->new->utf8->decode($json);

    if ($res->{code} != 200) {
        $answer->{error} = $answer->{json}{error};
        die "no error text\n" unless length($answer->{error} // '');
        return;
    }

    die "no model name\n" unless defined $answer->{json}{model_name};

    for my $out (@{ $answer->{json}{outputs} }) {
        my $count = 1;
        $count *= $_ for @{ $out->{shape} };

        if (defined(my $n = ($out->{parameters} // {})->{binary_data_size})) {
            die "data and binary data\n" if exists $out->{data};
            die "binary data missing\n" if $n > length $raw;
            $out->{raw} = substr $raw, 0, $n, '';
            die "$n bytes for $count $out->{datatype}\n"
                if $out->{datatype} ne 'BYTES'
                   && $n != $count * $size{ $out->{datatype} };

        } else {
            die "$out->{name}: data do not fill the shape\n"
                if @{ $out->{data} } != $count;
        }

        $answer->{outputs}{ $out->{name} } = $out;
    }

    die length($raw) . " bytes of no output\n" if length $raw;
}


1;
